//! What it costs to take a delta in: its length, whatever is there already.
//!
//! `cargo test --release -p heronry-presence merge -- --nocapture` prints the times.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heronry::node::{Incarnation, NodeId, NodeName};
use tokio::time::Instant;

use crate::diff::Looks;
use crate::limits::TrackerLimits;
use crate::meta::Meta;
use crate::shard::{Core, CoreOptions, Home, Message, Output, Table};

const HOME: Home = Home { tracker: 1, shards: 1, shard: 0 };
const TOPIC: &str = "stage:1";
/// In a delta, half of them joins.
const CHANGES: usize = 100;
const ROUNDS: usize = 60;
const WINDOW: Duration = Duration::from_millis(20);
/// What was asked for: in a release build, at best.
const MERGE_MAX: Duration = Duration::from_micros(200);

/// An owner of entries, and another node that is told of them.
struct Pair {
    owner: Core<u32>,
    other: Core<u32>,
    table: Table,
    ids: [NodeId; 2],
    now: Duration,
    entries: usize,
    /// Entries that came, and that went, by their number.
    came: usize,
    gone: usize,
}

fn holder(n: usize) -> u32 {
    (n / 5_000) as u32
}

impl Pair {
    fn of(entries: usize) -> Self {
        let ids = ["a", "b"].map(|name| NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(1)));
        let options = CoreOptions {
            replicated: true,
            window: WINDOW,
            heartbeat: Duration::from_secs(1),
            leave_grace: Duration::ZERO,
            message_bytes: 256 << 10,
            log_changes_min: 10_000,
            limits: TrackerLimits::default(),
        };
        let [owner, other] = [&ids[0], &ids[1]].map(|id| Core::new(id, 1, 0, options));
        let (table, now) = (Table::default(), Duration::ZERO);
        let mut pair = Self { owner, other, table, ids, now, entries, came: 0, gone: 0 };
        (0..entries).for_each(|_| pair.come(&mut Output::default()));
        let mut output = Output::default();
        pair.other.up(&pair.ids[0], pair.now, &mut output);
        while let Some((_, ask)) = output.messages.pop() {
            let mut answers = Output::default();
            pair.owner.receive(&pair.ids[1], ask, pair.now, &mut answers);
            for (_, answer) in answers.messages {
                pair.other.receive(&pair.ids[0], answer, pair.now, &mut output);
            }
            pair.show(&mut output);
        }
        assert_eq!(pair.table.read(TOPIC, |topic| topic.len()), entries);
        pair
    }

    fn place(n: usize) -> (Arc<str>, Arc<str>) {
        (TOPIC.into(), format!("user-{n}").into())
    }

    fn come(&mut self, output: &mut Output) {
        let meta = Meta::text(r#"{"online_at":1700000000}"#).unwrap();
        self.owner.track(holder(self.came), Self::place(self.came), &meta, self.now, output).unwrap();
        self.came += 1;
    }

    fn go(&mut self, output: &mut Output) {
        self.owner.untrack(holder(self.gone), Self::place(self.gone), self.now, output);
        self.gone += 1;
    }

    fn show(&mut self, output: &mut Output) {
        let seen = std::mem::take(&mut output.seen);
        self.table.apply(&seen);
        let looks = self.table.looks();
        output.diffs.extend(self.other.tell(seen, Looks { before: looks, after: looks }, self.now));
    }

    /// So many changes as one message, as it comes over the network.
    fn delta(&mut self) -> Bytes {
        self.now += Duration::from_secs(1);
        // The first change is told at once and those after it together.
        let mut output = Output::default();
        self.owner.tick(self.now, &mut output);
        if self.came - self.gone > self.entries {
            self.go(&mut output)
        } else {
            self.come(&mut output)
        }
        for (_, message) in output.messages {
            let mut output = Output::default();
            self.other.receive(&self.ids[0], message, self.now, &mut output);
            self.show(&mut output);
        }
        let mut output = Output::default();
        for _ in 0..CHANGES / 2 {
            self.come(&mut output);
            self.go(&mut output);
        }
        self.now += WINDOW;
        self.owner.tick(self.now, &mut output);
        self.other.tick(self.now, &mut Output::default());
        let is_delta = |message: &Message| matches!(message, Message::Delta { .. });
        let deltas: Vec<_> = output.messages.iter().filter(|(_, message)| is_delta(message)).collect();
        let [(_, delta)] = &deltas[..] else { panic!("one delta, not {}", deltas.len()) };
        delta.encode(HOME)
    }

    /// What the shard of the other node does with it, until there is a diff to tell.
    fn merge(&mut self, delta: &[u8]) {
        let message = Message::decode(delta, &self.ids[0], HOME).expect("it is a message");
        let mut output = Output::default();
        self.other.receive(&self.ids[0], message, self.now, &mut output);
        assert_eq!(output.seen.len(), CHANGES);
        self.show(&mut output);
        assert!(output.messages.is_empty(), "nothing is missing");
    }
}

/// The time of a merge among so many entries: the median, and the shortest.
fn times(entries: usize, is_sampled: bool) -> [Duration; 2] {
    let mut pair = Pair::of(entries);
    if is_sampled {
        #[cfg(feature = "channels")]
        pair.table.look_to_draw(TOPIC, |_| ());
    }
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let delta = pair.delta();
            let start = Instant::now();
            pair.merge(&delta);
            start.elapsed()
        })
        .collect();
    assert!(pair.table.read(TOPIC, |topic| topic.len()).abs_diff(entries) <= 1);
    times.sort_unstable();
    [times[ROUNDS / 2], times[0]]
}

#[test]
fn a_delta_costs_its_length_whatever_is_there_already() {
    // Without optimisation it takes a while to have a hundred thousand.
    let sizes = if cfg!(debug_assertions) { [500, 2_000, 20_000] } else { [1_000, 10_000, 100_000] };
    for is_sampled in [false, true] {
        let times = sizes.map(|entries| times(entries, is_sampled));
        for (entries, [median, shortest]) in sizes.iter().zip(times) {
            println!(
                "{CHANGES} changes into {entries} (sampled: {is_sampled}): {median:?}, {shortest:?} at best"
            );
        }
        // Whatever folds over all of them takes forty or a hundred times as long, and colder caches two or three times.
        let [[_, few], _, [_, many]] = times;
        assert!(many <= few * 10, "among few {few:?}, among many {many:?}");
        if !cfg!(debug_assertions) {
            assert!(many <= MERGE_MAX, "{many:?}");
        }
    }
}
