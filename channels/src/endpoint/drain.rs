//! Drain: an endpoint stops serving without cutting anybody off.
//!
//! All clients at once would come back at once, to whatever other server there is; so they are told in rounds.

use std::time::Duration;

use heronry::process::{self, Exit, Info, SpawnOptions};
use heronry::supervisor::{DynamicRef, Shutdown};
use heronry::{ChildSpec, Context, ExitReason, Pid, Received, telemetry};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::Endpoint;
use super::events::SocketDrain;
use crate::socket::draining;

/// How often it is looked whether the last ones have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the drainer's process has beyond the drain's own deadline, before it is killed.
const MARGIN: Duration = Duration::from_secs(1);

/// How an endpoint is drained. Phoenix's `:drainer` option.
///
/// ```
/// use std::time::Duration;
///
/// use heronry_channels::Drainer;
///
/// let drainer = Drainer { batch_size: 1_000, ..Drainer::default() };
/// assert_eq!(drainer.batch_interval, Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drainer {
    /// Sockets that are told in one round. Default 10,000, as Phoenix's `:batch_size`; 0 counts as 1.
    pub batch_size: usize,
    /// From one round to the next. Default 2 s, as Phoenix's `:batch_interval`.
    pub batch_interval: Duration,
    /// How long the whole takes at most. Default 30 s, as Phoenix's `:shutdown`.
    pub shutdown: Duration,
}

impl Default for Drainer {
    fn default() -> Self {
        Self { batch_size: 10_000, batch_interval: Duration::from_secs(2), shutdown: Duration::from_secs(30) }
    }
}

/// What came of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Sockets that were told.
    pub told: usize,
    /// Sockets that had not ended at the deadline: they were not told, or not all of their channels had ended.
    pub sockets_left: usize,
    /// HTTP connections whose requests had not been answered at the deadline.
    pub connections_left: usize,
}

impl Endpoint {
    /// Stops accepting, tells the sockets in rounds to go, and waits until they and the requests under way have ended,
    /// or the [`Drainer::shutdown`] is over.
    ///
    /// The endpoint's own server closes its port; a request that is under way is answered, and its connection closed. A
    /// new socket is refused with 503, also where another server serves the endpoint's requests. A socket that is told
    /// closes with 1012, which makes clients connect again, and its channels end with `shutdown: draining`, after their
    /// `terminate`. What has not ended at the deadline stays as it is, until the endpoint's child is stopped.
    ///
    /// The same happens by itself when the endpoint's child is stopped; call it to do so earlier, at a `SIGTERM` for
    /// example. An endpoint that has been drained serves again only if its child is restarted.
    ///
    /// # Cancel safety
    /// If this is dropped the endpoint goes on refusing what is new; who has been told has been told. Calling it again
    /// goes on.
    pub async fn drain(&self) -> Drained {
        let drainer = self.inner.drainer.unwrap_or_default();
        let deadline = Instant::now() + drainer.shutdown;
        self.inner.home.draining.send_replace(true);
        let rounds = self.tell_in_rounds(&drainer);
        let told = tokio::time::timeout_at(deadline, rounds).await.unwrap_or_default();
        let home = &self.inner.home;
        loop {
            let sockets_left = active(&home.supervisor).await;
            let connections_left = active(&self.inner.connections).await;
            if sockets_left + connections_left == 0 || Instant::now() >= deadline {
                return Drained { told, sockets_left, connections_left };
            }
            tokio::time::sleep_until((Instant::now() + LOOK_EVERY).min(deadline)).await;
        }
    }

    async fn tell_in_rounds(&self, drainer: &Drainer) -> usize {
        let sockets = pids(&self.inner.home.supervisor).await;
        let size = drainer.batch_size.max(1);
        let (total, rounds) = (sockets.len(), sockets.len().div_ceil(size));
        for (index, round) in sockets.chunks(size).enumerate() {
            if index > 0 {
                tokio::time::sleep(drainer.batch_interval).await;
            }
            telemetry::emit(&SocketDrain {
                count: round.len(),
                total,
                index: index + 1,
                rounds,
                interval: drainer.batch_interval,
            });
            for socket in round {
                process::exit(*socket, draining());
            }
        }
        // Those that were being let in when the drain began.
        let late: Vec<Pid> = pids(&self.inner.home.supervisor).await;
        for socket in late {
            process::exit(socket, draining());
        }
        total
    }

    /// The last child of an endpoint, which so is the first to be stopped.
    pub(super) fn drainer(&self) -> Option<ChildSpec> {
        let drainer = self.inner.drainer?;
        let endpoint = self.clone();
        let spec = ChildSpec::new("drainer", move |spawner| {
            let endpoint = endpoint.clone();
            let spawned = spawner
                .options(|options: SpawnOptions| options.trap_exit(true))
                .spawn(move |ctx| drain_at_the_end(ctx, endpoint));
            std::future::ready(spawned.map(|addr| addr.pid()))
        });
        Some(spec.shutdown(Shutdown::After(drainer.shutdown + MARGIN)))
    }
}

/// The drainer's process: waits until its supervisor stops it, then drains.
async fn drain_at_the_end(mut ctx: Context<()>, endpoint: Endpoint) -> ExitReason {
    loop {
        match ctx.receive().await {
            Received::Info(Info::Exit(Exit { from, reason })) if Some(from) == ctx.parent() => {
                endpoint.drain().await;
                return reason;
            }
            Received::Info(_) | Received::Message(()) => {}
        }
    }
}

/// The children of a supervisor; none if it does not run.
async fn pids(supervisor: &RwLock<Option<DynamicRef>>) -> Vec<Pid> {
    let supervisor = supervisor.read().clone();
    let Some(supervisor) = supervisor else { return Vec::new() };
    let children = supervisor.which_children().await.unwrap_or_default();
    children.into_iter().filter_map(|child| child.pid).collect()
}

async fn active(supervisor: &RwLock<Option<DynamicRef>>) -> usize {
    let supervisor = supervisor.read().clone();
    let Some(supervisor) = supervisor else { return 0 };
    supervisor.count_children().await.map_or(0, |counts| counts.active)
}
