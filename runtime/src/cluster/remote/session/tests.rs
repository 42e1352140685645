use proptest::prelude::*;

use super::*;

/// Two sides and what is under way between them.
struct Pair {
    sides: [Session; 2],
    /// To each side.
    wires: [VecDeque<Bytes>; 2],
    got: [Vec<u32>; 2],
    lost: [u32; 2],
    sent: [Vec<u32>; 2],
    /// After how many messages to each side some may be missing.
    cuts: [Vec<usize>; 2],
    now: Instant,
    epoch: u64,
}

impl Pair {
    fn new() -> Self {
        let now = crate::clock::now();
        let (mut out, mut more) = (Vec::new(), Vec::new());
        let sides = [Session::begin(1, now, &mut out), Session::begin(2, now, &mut more)];
        let mut pair = Self {
            sides,
            wires: Default::default(),
            got: Default::default(),
            lost: [0; 2],
            sent: Default::default(),
            cuts: Default::default(),
            now,
            epoch: 2,
        };
        pair.act(0, out);
        pair.act(1, more);
        pair
    }

    fn act(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(packet) => self.wires[1 - side].push_back(packet),
                Action::Deliver(body) => {
                    self.got[side].push(u32::from_be_bytes((&*body).try_into().unwrap()));
                }
                Action::Lost => {
                    self.lost[side] += 1;
                    self.cut(side);
                }
            }
        }
    }

    /// The side knows that the session is lost: what it sent and what has not arrived, and what it was sent.
    fn cut(&mut self, side: usize) {
        let arrived = self.got[1 - side].last().copied().unwrap_or(0);
        self.sent[side].retain(|n| *n <= arrived);
        self.cuts[side].push(self.got[side].len());
    }

    fn push(&mut self, side: usize, message: u32) -> Result<(), Full> {
        let mut out = Vec::new();
        let pushed =
            self.sides[side].push(Bytes::copy_from_slice(&message.to_be_bytes()), self.now, &mut out);
        self.act(side, out);
        self.sent[side].push(message);
        pushed
    }

    fn receive(&mut self, side: usize, packet: &Bytes) {
        let mut out = Vec::new();
        self.sides[side].receive(packet, self.now, &mut out);
        self.act(side, out);
    }

    /// The side begins anew, as it does when it holds the other node to be lost.
    fn restart(&mut self, side: usize) {
        self.epoch += 1;
        self.cut(side);
        let mut out = Vec::new();
        self.sides[side] = Session::begin(self.epoch, self.now, &mut out);
        self.act(side, out);
    }

    /// Lets all arrive that is under way, in order.
    fn flow(&mut self) {
        for _ in 0..100_000 {
            let Some(side) = (0..2).find(|side| !self.wires[*side].is_empty()) else { return };
            let packet = self.wires[side].pop_front().unwrap();
            self.receive(side, &packet);
        }
        panic!("they talk without end");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for side in 0..2 {
            let mut out = Vec::new();
            self.sides[side].tick(self.now, &mut out);
            self.act(side, out);
        }
    }

    /// Until nobody waits for anything.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.flow();
            let Some(next) = self.sides.iter().filter_map(Session::deadline).min() else { return };
            self.pass(next.saturating_duration_since(self.now));
        }
        panic!("they never come to rest");
    }
}

#[test]
fn what_is_sent_arrives_in_order_and_then_there_is_silence() {
    let mut pair = Pair::new();
    for n in 0..5_000 {
        pair.push(0, n).unwrap();
    }
    pair.push(1, 7).unwrap();
    pair.settle();
    assert_eq!(pair.got, [vec![7], (0..5_000).collect()]);
    assert_eq!(pair.lost, [0, 0]);
    for side in &pair.sides {
        assert_eq!((side.waiting.len(), side.bytes, side.deadline()), (0, 0, None));
    }
}

#[test]
fn once_they_know_each_other_nothing_waits() {
    let mut pair = Pair::new();
    pair.settle();
    pair.push(0, 1).unwrap();
    assert_eq!(pair.wires[1].len(), 1, "it is under way at once");
}

#[test]
fn what_is_lost_is_sent_again_at_once_if_something_follows_and_else_in_time() {
    let mut pair = Pair::new();
    pair.settle();
    pair.push(0, 1).unwrap();
    pair.wires[1].clear();
    pair.push(0, 2).unwrap();
    pair.flow();
    assert_eq!(pair.got[1], [1, 2]);
    pair.settle();
    pair.push(0, 3).unwrap();
    pair.wires[1].clear();
    pair.pass(RETRY - Duration::from_millis(1));
    pair.flow();
    assert_eq!(pair.got[1], [1, 2]);
    pair.pass(Duration::from_millis(1));
    pair.flow();
    assert_eq!(pair.got[1], [1, 2, 3]);
}

#[test]
fn a_lost_hello_is_said_again() {
    let mut pair = Pair::new();
    pair.wires = Default::default();
    pair.push(0, 1).unwrap();
    assert!(pair.wires[1].is_empty(), "nobody is known to be there");
    pair.settle();
    assert_eq!(pair.got[1], [1]);
}

#[test]
fn who_begins_anew_is_seen_to() {
    let mut pair = Pair::new();
    pair.push(0, 1).unwrap();
    pair.settle();
    pair.push(0, 2).unwrap();
    let under_way = pair.wires[1].clone();
    pair.restart(1);
    pair.settle();
    // One side lost the session and the other was told; what was under way to the session before does not arrive.
    assert_eq!((pair.lost, pair.got[1].clone()), ([1, 0], vec![1]));
    pair.push(0, 3).unwrap();
    pair.push(1, 4).unwrap();
    pair.settle();
    for late in &under_way {
        pair.receive(1, late);
    }
    pair.settle();
    assert_eq!((pair.lost, &pair.got), ([1, 0], &[vec![4], vec![1, 3]]));
}

#[test]
fn both_may_begin_anew() {
    let mut pair = Pair::new();
    pair.settle();
    let late: Vec<Bytes> = {
        pair.push(0, 1).unwrap();
        pair.wires[1].drain(..).collect()
    };
    pair.restart(0);
    pair.restart(1);
    pair.settle();
    for packet in &late {
        pair.receive(1, packet);
    }
    pair.push(0, 2).unwrap();
    pair.settle();
    assert_eq!(pair.got[1], [2]);
}

#[test]
fn what_waits_is_limited() {
    let mut pair = Pair::new();
    for n in 0..SESSION_MESSAGES_MAX as u32 {
        assert_eq!(pair.push(0, n), Ok(()));
    }
    assert_eq!(pair.push(0, 0), Err(Full));
    pair.settle();
    assert_eq!(pair.got[1].len(), SESSION_MESSAGES_MAX);
    assert_eq!(pair.push(0, 0), Ok(()));
    let mut out = Vec::new();
    let large = Bytes::from(vec![0; SESSION_BYTES_MAX]);
    assert_eq!(pair.sides[0].push(large, pair.now, &mut out), Err(Full));
}

#[test]
fn an_ack_of_what_was_never_sent_is_nonsense() {
    let mut pair = Pair::new();
    pair.settle();
    pair.push(0, 1).unwrap();
    pair.wires[1].clear();
    let packet = |ack: u64| {
        let numbers = [2, 1, ack, 0].map(u64::to_be_bytes).concat();
        Bytes::from([&[0][..], &numbers].concat())
    };
    for ack in [0, 1, 3, u64::MAX] {
        pair.receive(0, &packet(ack));
        assert_eq!(pair.sides[0].waiting.len(), 1, "{ack}");
    }
    pair.receive(0, &packet(2));
    assert_eq!(pair.sides[0].waiting.len(), 0);
    for junk in [&[][..], &[0], &[9; 40], &[0; 33]] {
        pair.receive(0, &Bytes::copy_from_slice(junk));
    }
    assert_eq!(pair.lost, [0, 0]);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Arrive(usize, usize),
    Again(usize),
    Lose(usize),
    Pass(u64),
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..2_usize).prop_map(Step::Push),
        8 => (0..2_usize, 0..4_usize).prop_map(|(side, at)| Step::Arrive(side, at)),
        1 => (0..2_usize).prop_map(Step::Again),
        2 => (0..2_usize).prop_map(Step::Lose),
        3 => (1..600_u64).prop_map(Step::Pass),
        1 => (0..2_usize).prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    /// Whatever is lost, repeated, out of order or begun anew: what arrives is in order and arrives once; nothing is missing
    /// in between unless the receiver was told of a loss or one of them began anew; and in the end all that was sent since then is there.
    #[test]
    fn nothing_is_missing_unless_it_is_said(steps in steps()) {
        let mut pair = Pair::new();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push(side) => {
                    next += 1;
                    pair.push(side, next).unwrap();
                }
                Step::Arrive(side, at) => {
                    let at = at.min(pair.wires[side].len().saturating_sub(1));
                    if let Some(packet) = pair.wires[side].remove(at) {
                        pair.receive(side, &packet);
                    }
                }
                Step::Again(side) => {
                    if let Some(packet) = pair.wires[side].front().cloned() {
                        pair.receive(side, &packet);
                    }
                }
                Step::Lose(side) => drop(pair.wires[side].pop_front()),
                Step::Pass(ms) => pair.pass(Duration::from_millis(ms)),
                Step::Restart(side) => pair.restart(side),
            }
        }
        pair.settle();
        for side in 0..2 {
            next += 1;
            let other = 1 - side;
            pair.push(other, next).unwrap();
            let lost = pair.lost[side];
            pair.settle();
            prop_assert_eq!(pair.lost[side], lost, "at rest nothing is lost any more");
            let Pair { got, sent, cuts, .. } = &pair;
            prop_assert_eq!(got[side].last(), Some(&next));
            for (at, two) in got[side].windows(2).enumerate() {
                prop_assert!(two[0] < two[1], "in order, and once");
                let between = sent[other].iter().filter(|n| two[0] < **n && **n < two[1]).count();
                prop_assert!(between == 0 || cuts[side].contains(&(at + 1)), "{between} missing, {cuts:?}");
            }
        }
    }
}
