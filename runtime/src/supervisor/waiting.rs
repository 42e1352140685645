//! Restarts that wait for their time.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use crate::clock;
use crate::exit::ExitReason;
use crate::process::{Context, Received};

/// The place of a restart among those that wait.
pub(super) type Place = (Instant, u64);

/// The restarts of one supervisor that wait, by their time. Each child has one at most.
#[derive(Debug)]
pub(super) struct Waiting<K> {
    by_time: BTreeMap<Place, (K, ExitReason)>,
    /// Tells those of the same moment apart.
    next: u64,
}

/// What is kept of a child whose restarts wait.
#[derive(Debug)]
pub(super) struct Retry {
    backoff: Backoff,
    failed: u32,
    started_at: Option<Instant>,
    place: Option<Place>,
}

impl Retry {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failed: 0, started_at: None, place: None }
    }

    pub(super) fn started(&mut self) {
        self.started_at = Some(clock::now());
    }

    fn delay(&mut self) -> Duration {
        let lived = self.started_at.take().map_or(Duration::ZERO, |at| at.elapsed());
        self.backoff.next(&mut self.failed, lived, random())
    }
}

/// Good enough to keep children apart: the standard library's own seeds.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

impl<K> Waiting<K> {
    pub(super) fn new() -> Self {
        Self { by_time: BTreeMap::new(), next: 0 }
    }

    /// Puts the restart of a child off; for how long.
    pub(super) fn put(&mut self, retry: &mut Retry, key: K, reason: ExitReason) -> Duration {
        self.cancel(retry);
        let delay = retry.delay();
        self.next += 1;
        // A time that can't be told is never.
        retry.place = clock::now().checked_add(delay).map(|at| (at, self.next));
        if let Some(place) = retry.place {
            self.by_time.insert(place, (key, reason));
        }
        delay
    }

    /// The child's restart is not waited for any more.
    pub(super) fn cancel(&mut self, retry: &mut Retry) {
        if let Some(place) = retry.place.take() {
            self.by_time.remove(&place);
        }
    }

    /// The next thing that arrives. A restart whose time has come is made a message, behind all that waits: so a shutdown
    /// can overtake it, and a busy mailbox does not hold it back.
    pub(super) async fn next<M: Send + 'static>(
        &mut self,
        ctx: &mut Context<M>,
        due: impl Fn(K, ExitReason) -> M,
    ) -> Received<M> {
        loop {
            let Some(first) = self.by_time.first_entry() else { return ctx.receive().await };
            let (at, _) = *first.key();
            if at <= clock::now() {
                let (key, reason) = first.remove();
                ctx.send_self(due(key, reason));
            } else if let Ok(received) = timeout_at(at, ctx.receive()).await {
                return received;
            }
        }
    }
}
