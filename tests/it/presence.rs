//! Trackers and presences: on one node, over many, and for channels.

mod channels;
pub(crate) mod large;
mod nodes;
mod tracker;

use std::sync::{Arc, Mutex};

use heronry::prelude::*;
use heronry::supervisor::SupervisorRef;
use heronry_presence::{TopicDiff, Tracker, TrackerOptions, TrackerRef};

/// A tracker that notes what it is told, as `+key` and `-key`.
struct Notes(Log);

type Log = Arc<Mutex<Vec<String>>>;

enum Order {
    Note(&'static str),
    Crash,
}

impl Tracker for Notes {
    type Args = Log;
    type Msg = Order;

    async fn init(log: Log) -> Result<Self, ExitReason> {
        Ok(Self(log))
    }

    async fn handle_diff(&mut self, diffs: &[TopicDiff]) {
        let mut log = self.0.lock().expect("no panic under it");
        for diff in diffs {
            let joins = diff.joins().iter().map(|entry| format!("+{}", entry.key()));
            let leaves = diff.leaves().iter().map(|entry| format!("-{}", entry.key()));
            log.push(joins.chain(leaves).collect::<Vec<_>>().join(" "));
        }
    }

    async fn handle_info(&mut self, order: Order) {
        match order {
            Order::Note(note) => self.0.lock().expect("no panic under it").push(note.to_owned()),
            Order::Crash => panic!("as it was told"),
        }
    }
}

/// A tracker that runs, and what it notes.
struct Running {
    tracker: TrackerRef<Notes>,
    log: Log,
    tree: SupervisorRef,
}

impl Running {
    async fn start(options: TrackerOptions) -> Self {
        let log = Log::default();
        let tracker = TrackerRef::new("notes", log.clone(), options);
        let tree = Supervisor::one_for_one().child(tracker.child_spec()).start().await.expect("it starts");
        Self { tracker, log, tree }
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().expect("no panic under it"))
    }

    fn keys(&self, topic: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.tracker.list(topic).iter().map(|entry| entry.key().to_owned()).collect();
        keys.sort_unstable();
        keys
    }
}

/// A process that lives until it is told not to.
fn idle() -> Addr<()> {
    spawn(|mut ctx: Context<()>| async move { drop(ctx.receive().await) })
}
