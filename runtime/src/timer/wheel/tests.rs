//! The wheel against tables and against a sorted list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// All that is due by `now`, and how many values moved down for it.
fn advance<T: Copy>(wheel: &mut Wheel<T>, now: u64) -> (Vec<T>, usize) {
    let (mut fired, mut moved) = (Vec::new(), 0);
    loop {
        match wheel.step(now) {
            Step::Due(key) => fired.push(wheel.remove(key).unwrap()),
            Step::Moved => moved += 1,
            Step::Idle => return (fired, moved),
        }
    }
}

/// Inserts at tick `at`; nothing is due a tick before `deadline`, and it is at `deadline`.
fn check(at: u64, deadline: u64) {
    let mut wheel = Wheel::new();
    assert_eq!(wheel.step(at), Step::Idle);
    let key = wheel.insert(deadline, "value");
    assert_eq!(wheel.deadline(key), Some(deadline));
    assert!(wheel.next_wake().unwrap() <= deadline.max(at), "{at} {deadline}");
    if deadline > at {
        assert_eq!(advance(&mut wheel, deadline - 1).0, [""; 0], "early: {at} {deadline}");
    }
    let mut steps = 0;
    while wheel.len() > 0 {
        steps += 1;
        assert!(steps <= LEVELS, "{at} {deadline}: at most one wake for each level");
        let wake = wheel.next_wake().unwrap();
        assert!(wake <= deadline.max(at));
        advance(&mut wheel, wake);
    }
    assert_eq!(wheel.next_wake(), None);
}

#[test]
fn each_edge_of_each_level_fires_on_its_tick() {
    let mut ticks = vec![0, 1, u64::MAX];
    for level in 0..LEVELS as u32 {
        let edge = 1_u64 << (DIGIT_BITS * level);
        ticks.extend([edge - 1, edge, edge + 1, (edge - 1) * 3]);
    }
    for at in &ticks {
        for deadline in &ticks {
            check(*at, *deadline);
        }
    }
}

#[test]
fn one_deadline_fires_in_the_order_of_insertion_from_every_level() {
    let mut wheel = Wheel::new();
    for (name, at) in [("a", 0), ("b", 4_000), ("c", 4_097), ("d", 4_160), ("e", 4_169)] {
        advance(&mut wheel, at);
        wheel.insert(4_170, name);
    }
    assert_eq!(advance(&mut wheel, 4_169).0, [""; 0]);
    assert_eq!(advance(&mut wheel, 4_170).0, ["a", "b", "c", "d", "e"]);
}

#[test]
fn what_is_inserted_while_a_slot_comes_down_keeps_its_turn() {
    let mut wheel = Wheel::new();
    for name in ["a", "b", "c"] {
        wheel.insert(100, name);
    }
    assert_eq!(wheel.step(100), Step::Moved);
    wheel.insert(100, "d");
    wheel.insert(30, "late");
    wheel.insert(128, "next slot");
    assert_eq!(wheel.next_wake(), Some(64));
    assert_eq!(advance(&mut wheel, 64).0, ["late"]);
    assert_eq!(advance(&mut wheel, 100).0, ["a", "b", "c", "d"]);
    assert_eq!(advance(&mut wheel, 128).0, ["next slot"]);
}

#[test]
fn a_slot_that_is_cancelled_while_it_comes_down_leaves_the_rest_right() {
    let mut wheel = Wheel::new();
    wheel.insert(75, "moved");
    let cancelled = wheel.insert(76, "cancelled");
    advance(&mut wheel, 10);
    assert_eq!(wheel.step(64), Step::Moved);
    assert_eq!(wheel.remove(cancelled), Some("cancelled"));
    assert_eq!(wheel.remove(cancelled), None);
    assert_eq!(advance(&mut wheel, 74).0, [""; 0]);
    assert_eq!(advance(&mut wheel, 75).0, ["moved"]);
}

#[test]
fn what_is_due_may_be_set_again_under_its_key_or_removed() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(5, "tick");
    assert_eq!(wheel.step(5), Step::Due(key));
    assert_eq!(wheel.step(5), Step::Idle, "given out once");
    assert!(wheel.set_again(key, 9));
    assert_eq!((wheel.step(8), wheel.step(9)), (Step::Idle, Step::Due(key)));
    assert_eq!(wheel.remove(key), Some("tick"));
    assert!(!wheel.set_again(key, 10));
    assert_eq!((wheel.deadline(key), wheel.len()), (None, 0));
}

#[test]
fn a_million_cost_one_move_a_level_and_give_their_memory_back() {
    let mut wheel = Wheel::new();
    let keys: Vec<Key> = (0..1_000_000_u64).map(|n| wheel.insert(1 + n * 97 % 60_000, n)).collect();
    assert_eq!(wheel.len(), 1_000_000);
    let (fired, moved) = advance(&mut wheel, 30_000);
    assert!(fired.len() > 400_000 && moved < 3_000_000, "{} {moved}", fired.len());
    let cancelled = keys.iter().filter(|key| wheel.remove(**key).is_some()).count();
    assert_eq!(cancelled + fired.len(), 1_000_000);
    assert_eq!((wheel.len(), wheel.next_wake()), (0, None));
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64),
    /// With a deadline that the clock has passed by so much.
    InsertLate(u64),
    Cancel(usize),
    Step(u64, usize),
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let delay = prop_oneof![0_u64..4, 0_u64..200, 0_u64..10_000, 0_u64..10_000_000, any::<u64>()];
    prop_oneof![
        4 => delay.prop_map(Op::Insert),
        1 => (0_u64..300).prop_map(Op::InsertLate),
        2 => any::<usize>().prop_map(Op::Cancel),
        2 => (0_u64..300, 0_usize..6).prop_map(|(by, steps)| Op::Step(by, steps)),
        1 => prop_oneof![0_u64..100, 0_u64..5_000, 0_u64..20_000_000].prop_map(Op::Advance),
    ]
}

/// The naive model: what is armed by (deadline, number).
#[derive(Default)]
struct Model {
    armed: BTreeMap<(u64, u64), Key>,
    now: u64,
}

impl Model {
    /// A deadline that the wheel has passed counts as the tick that it has reached: it is behind all that is due then.
    fn insert(&mut self, wheel: &mut Wheel<(u64, u64)>, deadline: u64, number: u64) {
        let reached = wheel.cascade.map_or(wheel.elapsed, |cascade| cascade.start);
        let id = (deadline.max(reached), number);
        self.armed.insert(id, wheel.insert(deadline, id));
    }

    /// What the wheel gave out must be due, and the first of all that is.
    fn fired(&mut self, wheel: &mut Wheel<(u64, u64)>, key: Key) -> Result<(), TestCaseError> {
        let id = wheel.remove(key).unwrap();
        let (first, first_key) = self.armed.pop_first().unwrap();
        prop_assert_eq!((first, first_key), (id, key));
        prop_assert!(id.0 <= self.now);
        Ok(())
    }
}

proptest! {
    /// Whatever is inserted, cancelled and stepped in whichever order: what fires is what a sorted list would fire.
    #[test]
    fn agrees_with_a_sorted_list(ops in prop::collection::vec(op(), 1..120)) {
        let mut wheel = Wheel::new();
        let mut model = Model::default();
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Insert(delay) => {
                    model.insert(&mut wheel, model.now.saturating_add(delay), number as u64);
                }
                Op::InsertLate(by) => {
                    model.insert(&mut wheel, model.now.saturating_sub(by), number as u64);
                }
                Op::Cancel(nth) => {
                    let chosen = model.armed.iter().nth(nth % (model.armed.len() + 1));
                    if let Some((id, key)) = chosen.map(|(id, key)| (*id, *key)) {
                        model.armed.remove(&id);
                        prop_assert_eq!(wheel.remove(key), Some(id));
                        prop_assert_eq!(wheel.remove(key), None);
                    }
                }
                Op::Step(by, steps) => {
                    model.now = model.now.saturating_add(by);
                    for _ in 0..steps {
                        if let Step::Due(key) = wheel.step(model.now) {
                            model.fired(&mut wheel, key)?;
                        }
                    }
                }
                Op::Advance(by) => {
                    model.now = model.now.saturating_add(by);
                    loop {
                        match wheel.step(model.now) {
                            Step::Due(key) => model.fired(&mut wheel, key)?,
                            Step::Moved => {}
                            Step::Idle => break,
                        }
                    }
                    prop_assert!(model.armed.first_key_value().is_none_or(|(id, _)| id.0 > model.now));
                }
            }
            prop_assert_eq!(wheel.len(), model.armed.len());
            let earliest = model.armed.first_key_value().map(|(id, _)| id.0);
            prop_assert_eq!(wheel.next_wake().is_some(), earliest.is_some());
            prop_assert!(wheel.next_wake().unwrap_or(0) <= earliest.unwrap_or(0));
        }
    }
}
