//! Frames in order, late, doubled and missing: what comes out, and where a gap is told.

use proptest::prelude::*;

use super::*;

const BUSY: Duration = Duration::ZERO;
const QUIET: Duration = Duration::from_secs(60);

struct Case {
    stream: Stream<u64>,
    start: Instant,
    out: Vec<Option<u64>>,
}

/// What comes out: frames, and `None` for a gap.
impl Case {
    fn new() -> Self {
        Self { stream: Stream::new(), start: crate::clock::now(), out: Vec::new() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn put(&mut self, ms: u64, seq: u64, quiet: Duration) -> bool {
        let (now, out) = (self.at(ms), &mut self.out);
        self.stream.accept((seq, quiet), (seq, 1), now, &mut |arrival| out.push(plain(arrival)))
    }

    fn expire(&mut self, ms: u64) {
        let (now, out) = (self.at(ms), &mut self.out);
        self.stream.expire(now, &mut |arrival| out.push(plain(arrival)));
    }

    #[track_caller]
    fn gives(&mut self, expect: &[Option<u64>]) {
        assert_eq!(std::mem::take(&mut self.out), expect);
    }
}

fn plain(arrival: Arrival<u64>) -> Option<u64> {
    match arrival {
        Arrival::Frame(seq) => Some(seq),
        Arrival::Gap => None,
    }
}

#[test]
fn in_order_nothing_waits() {
    let mut case = Case::new();
    assert!(case.put(0, 1, QUIET));
    for seq in 2..5 {
        assert!(case.put(0, seq, BUSY));
    }
    case.gives(&[Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(case.stream.deadline(), None);
}

#[test]
fn a_late_subscriber_begins_where_the_sender_was_quiet_before() {
    let mut case = Case::new();
    case.put(0, 1_000, QUIET);
    case.gives(&[Some(1_000)]);
}

#[test]
fn a_late_subscriber_of_a_busy_sender_waits_for_what_may_be_on_its_way() {
    let mut case = Case::new();
    case.put(0, 12, BUSY);
    case.put(10, 11, BUSY);
    case.gives(&[]);
    assert_eq!(case.stream.deadline(), Some(case.at(100)));
    case.expire(99);
    case.gives(&[]);
    // Where it begins nothing is missing.
    case.expire(100);
    case.gives(&[Some(11), Some(12)]);
    case.put(110, 13, BUSY);
    case.gives(&[Some(13)]);
}

#[test]
fn the_first_frames_may_be_out_of_order() {
    let mut case = Case::new();
    case.put(0, 3, BUSY);
    case.put(1, 2, BUSY);
    case.gives(&[]);
    case.put(2, 1, QUIET);
    case.gives(&[Some(1), Some(2), Some(3)]);
}

#[test]
fn what_was_there_is_not_taken_again() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    assert!(!case.put(0, 1, QUIET));
    case.put(0, 3, BUSY);
    assert!(!case.put(0, 3, BUSY), "it waits");
    case.put(0, 2, BUSY);
    assert!(!case.put(0, 2, BUSY));
    assert!(!case.put(0, 0, BUSY));
    case.gives(&[Some(1), Some(2), Some(3)]);
}

#[test]
fn what_does_not_come_is_a_gap() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    case.put(5, 3, BUSY);
    case.put(6, 4, BUSY);
    case.put(7, 6, BUSY);
    case.gives(&[Some(1)]);
    case.expire(104);
    case.gives(&[]);
    case.expire(105);
    // 6 waits for 5 from when it came.
    case.gives(&[None, Some(3), Some(4)]);
    assert!(!case.put(106, 2, BUSY), "it was given up");
    case.expire(107);
    case.gives(&[None, Some(6)]);
    assert_eq!(case.stream.bytes(), 0);
}

#[test]
fn what_was_sent_long_after_the_missing_ones_waits_for_nothing() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    case.put(5, 3, REORDER_TIME);
    case.gives(&[Some(1), None, Some(3)]);
}

#[test]
fn the_window_has_an_end() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    for seq in 3..REORDER_FRAMES + 2 {
        case.put(0, seq, BUSY);
    }
    case.gives(&[Some(1)]);
    case.put(0, REORDER_FRAMES + 2, BUSY);
    let rest: Vec<_> = [None].into_iter().chain((3..REORDER_FRAMES + 3).map(Some)).collect();
    case.gives(&rest);
    // Far ahead: what was held goes first.
    case.put(0, 200, BUSY);
    case.put(0, 5_000, BUSY);
    case.gives(&[None, Some(200), None, Some(5_000)]);
}

#[test]
fn bytes_have_an_end_too() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    let (now, out) = (case.at(0), &mut case.out);
    for seq in [3, 4] {
        case.stream.accept((seq, BUSY), (seq, REORDER_BYTES), now, &mut |arrival| out.push(plain(arrival)));
    }
    case.gives(&[Some(1), None, Some(3), Some(4)]);
}

#[test]
fn given_up_or_cleared_nothing_waits() {
    let mut case = Case::new();
    case.put(0, 1, QUIET);
    case.put(0, 3, BUSY);
    case.put(0, 5, BUSY);
    case.stream.give_up(&mut |arrival| case.out.push(plain(arrival)));
    case.gives(&[Some(1), None, Some(3), None, Some(5)]);
    case.put(0, 7, BUSY);
    case.stream.clear();
    assert_eq!((case.stream.deadline(), case.stream.bytes()), (None, 0));
    // What comes after the sender was away shows what is missing.
    case.put(900, 8, QUIET);
    case.gives(&[None, Some(8)]);
}

proptest! {
    /// Repeated twice and displaced by less than the window, all arrive once and in order.
    #[test]
    fn each_once_in_order(keys in proptest::collection::vec((0..90_u64, 0..90_u64), 1..400)) {
        let mut sent = Vec::new();
        for (seq, (one, two)) in keys.iter().enumerate() {
            sent.extend([(seq as u64 + one, seq as u64), (seq as u64 + two, seq as u64)]);
        }
        sent.sort_unstable();
        let mut case = Case::new();
        for (_, seq) in sent {
            case.put(0, seq, if seq == 0 { QUIET } else { BUSY });
        }
        let all: Vec<_> = (0..keys.len() as u64).map(Some).collect();
        prop_assert_eq!(&case.out, &all);
    }

    /// Whatever is lost, frames come in order, each once, all that were not lost, and with a gap exactly where some are missing.
    #[test]
    fn gaps_are_exactly_where_something_is_missing(
        lost in proptest::collection::vec(any::<bool>(), 2..300),
        shuffled in proptest::collection::vec(0..20_u64, 300),
    ) {
        let mut sent: Vec<_> = lost
            .iter()
            .enumerate()
            .filter(|(seq, lost)| *seq == 0 || !**lost)
            .map(|(seq, _)| (seq as u64 + shuffled[seq], seq as u64))
            .collect();
        let mut expect = Vec::new();
        for (_, seq) in &sent {
            if expect.last().is_some_and(|last| *last != Some(seq - 1)) {
                expect.push(None);
            }
            expect.push(Some(*seq));
        }
        sent.sort_unstable();
        let mut case = Case::new();
        for (_, seq) in sent {
            case.put(0, seq, if seq == 0 { QUIET } else { BUSY });
        }
        case.expire(100);
        prop_assert_eq!(&case.out, &expect);
    }
}
