//! Who is up, by heartbeats and a clock that is moved by hand: silence, returns, other lives, limits.

use proptest::prelude::*;

use super::*;
use NodeEvent::{Down, PermDown, Recovered, Suspect, Up};

const HEARTBEAT: Duration = Duration::from_secs(1);

/// A membership with its clock, which beats for whom it is told.
struct Case {
    members: Membership,
    start: Instant,
    now: Instant,
    seq: u64,
}

fn id(name: &str, life: u64) -> NodeId {
    NodeId::new(NodeName::parse(name).unwrap(), Incarnation::new(life))
}

impl Case {
    fn new() -> Self {
        Self::with_nodes_max(10)
    }

    fn with_nodes_max(nodes_max: usize) -> Self {
        let patience = Patience {
            suspect: Duration::from_secs(3),
            down: Duration::from_secs(5),
            permdown: Duration::from_secs(1_200),
        };
        // Not at the beginning of the clock: lives began before.
        let start = crate::clock::now() + Duration::from_secs(100_000);
        let mut members = Membership::new(id("own", 1), (HEARTBEAT, patience), nodes_max, start);
        members.link(true, start);
        Self { members, start, now: start, seq: 0 }
    }

    /// A heartbeat of a node that lives for so long.
    fn beat(&mut self, who: &NodeId, age_ms: u64) -> Heard {
        self.seq += 1;
        let beat = Beat::Alive { age: Duration::from_millis(age_ms) };
        self.members.beat(who.clone(), self.seq, beat, self.now)
    }

    fn leave(&mut self, who: &NodeId) {
        self.seq += 1;
        self.members.beat(who.clone(), self.seq, Beat::Leave, self.now);
    }

    /// Lets time pass, looking at it as a node does.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            let next = self.members.deadline().filter(|deadline| *deadline > self.now);
            self.now = next.unwrap_or(end).min(end).min(self.now + HEARTBEAT);
            self.members.tick(self.now);
        }
    }

    #[track_caller]
    fn changes(&mut self, expect: &[NodeEvent]) {
        let at = self.now - self.start;
        assert_eq!(self.members.take_changes(), expect, "at {at:?}");
    }
}

#[test]
fn silence_makes_suspect_then_down_then_permdown() {
    let (mut case, a) = (Case::new(), id("a", 7));
    assert_eq!(case.beat(&a, 0), Heard::New);
    case.changes(&[Up(a.clone())]);
    case.pass(2_999);
    case.changes(&[]);
    case.pass(1);
    case.changes(&[Suspect(a.clone())]);
    case.pass(1_999);
    case.changes(&[]);
    case.pass(1);
    case.changes(&[Down(a.clone())]);
    case.pass(1_194_999);
    case.changes(&[]);
    case.pass(1);
    case.changes(&[PermDown(a.clone())]);
    assert_eq!((case.members.len(), case.members.deadline()), (0, None));
    // It was a long partition, and the same life after all.
    assert_eq!(case.beat(&a, 1_200_000), Heard::New);
    case.changes(&[Up(a)]);
}

#[test]
fn who_is_heard_again_is_back() {
    let (mut case, a) = (Case::new(), id("a", 7));
    case.beat(&a, 0);
    case.pass(4_000);
    assert_eq!(case.beat(&a, 4_000), Heard::Known);
    case.changes(&[Up(a.clone()), Suspect(a.clone()), Recovered(a.clone())]);
    case.pass(5_000);
    assert_eq!(case.beat(&a, 9_000), Heard::New);
    case.changes(&[Suspect(a.clone()), Down(a.clone()), Up(a)]);
}

#[test]
fn a_new_life_replaces_the_old_at_once() {
    let mut case = Case::new();
    let (old, new) = (id("a", 9), id("a", 2));
    case.beat(&old, 60_000);
    case.pass(100);
    assert_eq!(case.beat(&new, 0), Heard::New);
    case.changes(&[Up(old.clone()), Down(old.clone()), PermDown(old.clone()), Up(new.clone())]);
    // What of the old one was under way comes late, and changes nothing.
    for _ in 0..3 {
        assert_eq!(case.beat(&old, 60_050), Heard::Late);
        assert_eq!(case.members.frame(old.clone(), case.now), Heard::Late);
    }
    case.changes(&[]);
    // The new one is lost: late words of the old one still don't bring it back.
    case.pass(5_000);
    case.changes(&[Suspect(new.clone()), Down(new)]);
    for _ in 0..9 {
        assert_eq!(case.beat(&old, 60_080), Heard::Late);
    }
    case.changes(&[]);
}

#[test]
fn a_hundred_restarts_leave_one_member() {
    let mut case = Case::new();
    let lives: Vec<_> = (0..100).map(|life| id("a", 1_000 - life)).collect();
    for life in &lives {
        assert_eq!(case.beat(life, 0), Heard::New);
        case.pass(10);
    }
    assert_eq!(case.members.len(), 1);
    let up = case.members.take_changes().iter().filter(|change| matches!(change, Up(_))).count();
    assert_eq!(up, 100);
    for life in &lives[..99] {
        assert_eq!(case.beat(life, 9), Heard::Late);
        case.leave(life);
    }
    case.changes(&[]);
}

#[test]
fn of_two_lives_the_younger_one_goes_on() {
    let mut case = Case::new();
    let (old, new) = (id("a", 1), id("a", 2));
    // This node has never seen the old one, whose heartbeat is late.
    case.beat(&new, 500);
    case.pass(400);
    assert_eq!(case.beat(&old, 3_000), Heard::Late);
    assert_eq!(case.beat(&new, 900), Heard::Known);
    case.changes(&[Up(new)]);
}

#[test]
fn a_life_that_seemed_older_takes_the_name_when_it_falls_silent() {
    let mut case = Case::new();
    let (first, second) = (id("a", 1), id("a", 2));
    // The only heartbeat of the first life took so long that it seems younger than the second.
    case.beat(&first, 0);
    assert_eq!(case.beat(&second, 300), Heard::Late);
    for beat in 1..5 {
        case.pass(1_000);
        case.beat(&second, 300 + beat * 1_000);
    }
    case.changes(&[
        Up(first.clone()),
        Suspect(first.clone()),
        Down(first.clone()),
        PermDown(first),
        Up(second),
    ]);
}

#[test]
fn a_replaced_life_that_goes_on_alone_was_not_dead() {
    let mut case = Case::new();
    let (one, two) = (id("a", 1), id("a", 2));
    case.beat(&one, 9_000);
    case.beat(&two, 0);
    // Two programs with one name: the younger one counts, while it is there.
    for beat in 1..6 {
        case.pass(1_000);
        assert_eq!(case.beat(&one, 9_000 + beat * 1_000), Heard::Late);
        case.beat(&two, beat * 1_000);
    }
    case.members.take_changes();
    for beat in 6..10 {
        case.pass(1_000);
        assert_eq!(case.beat(&one, 9_000 + beat * 1_000), Heard::Late, "{beat}");
    }
    case.pass(1_000);
    case.beat(&one, 19_000);
    case.pass(1_000);
    assert_eq!(case.beat(&one, 20_000), Heard::New);
    case.changes(&[Suspect(two.clone()), Down(two.clone()), PermDown(two), Up(one)]);
}

#[test]
fn who_leaves_is_gone_at_once_and_for_good() {
    let (mut case, a, never_seen) = (Case::new(), id("a", 7), id("b", 8));
    case.beat(&a, 0);
    case.leave(&a);
    case.changes(&[Up(a.clone()), Down(a.clone()), PermDown(a.clone())]);
    case.leave(&never_seen);
    for who in [&a, &never_seen] {
        for _ in 0..9 {
            case.pass(1_000);
            assert_eq!(case.beat(who, 1), Heard::Late);
            assert_eq!(case.members.frame(who.clone(), case.now), Heard::Late);
        }
    }
    case.changes(&[]);
    // Its next life is another matter.
    assert_eq!(case.beat(&id("a", 70), 0), Heard::New);
}

#[test]
fn while_our_link_is_down_nobody_is_judged() {
    let (mut case, a, b) = (Case::new(), id("a", 7), id("b", 8));
    case.beat(&a, 0);
    case.beat(&b, 0);
    case.pass(2_900);
    case.members.link(false, case.now);
    case.pass(3_600_000);
    case.changes(&[Up(a.clone()), Up(b.clone())]);
    assert_eq!(case.members.deadline(), None);
    case.members.link(true, case.now);
    case.pass(2_999);
    case.changes(&[]);
    // One was there all the time, the other was not.
    case.beat(&a, 3_605_000);
    case.pass(2_001);
    case.changes(&[Suspect(b.clone()), Down(b)]);
}

#[test]
fn who_stood_still_gives_everybody_the_full_time() {
    let (mut case, a) = (Case::new(), id("a", 7));
    case.beat(&a, 0);
    case.pass(1_000);
    case.now += Duration::from_secs(60);
    case.members.tick(case.now);
    case.changes(&[Up(a.clone())]);
    case.pass(2_000);
    case.changes(&[Suspect(a)]);
}

#[test]
fn an_old_heartbeat_is_no_sign_of_life() {
    let (mut case, a) = (Case::new(), id("a", 7));
    case.members.beat(a.clone(), 10, Beat::Alive { age: Duration::ZERO }, case.now);
    for seq in [10, 9, 1] {
        case.pass(1_000);
        let late = case.members.beat(a.clone(), seq, Beat::Alive { age: Duration::ZERO }, case.now);
        assert_eq!(late, Heard::Late);
    }
    case.changes(&[Up(a.clone()), Suspect(a)]);
}

#[test]
fn a_frame_makes_a_node_known_and_does_not_keep_it() {
    let (mut case, a) = (Case::new(), id("a", 7));
    assert_eq!(case.members.frame(a.clone(), case.now), Heard::New);
    for _ in 0..3 {
        assert_eq!(case.members.frame(a.clone(), case.now), Heard::Known);
        case.pass(1_000);
    }
    case.pass(2_000);
    assert_eq!(case.members.frame(a.clone(), case.now), Heard::Late);
    case.changes(&[Up(a.clone()), Suspect(a.clone()), Down(a)]);
    // Nor does it replace anybody.
    assert_eq!(case.members.frame(id("a", 8), case.now), Heard::Late);
}

#[test]
fn a_namesake_is_told_of_if_it_is_younger() {
    let mut case = Case::new();
    case.pass(10_000);
    assert_eq!(case.beat(&id("own", 1), 10_000), Heard::Late);
    assert_eq!(case.beat(&id("own", 2), 20_000), Heard::Late);
    assert_eq!(case.beat(&id("own", 3), 0), Heard::NameTaken);
    assert_eq!(case.beat(&id("own", 3), 1_000), Heard::Late);
    case.changes(&[]);
}

#[test]
fn there_is_room_for_so_many_nodes() {
    let mut case = Case::with_nodes_max(2);
    let [a, b, c] = ["a", "b", "c"].map(|name| id(name, 1));
    case.beat(&a, 0);
    case.beat(&b, 0);
    assert_eq!(case.beat(&c, 0), Heard::Full);
    case.pass(1_000);
    case.beat(&b, 1_000);
    case.pass(4_000);
    case.members.take_changes();
    // Who is down makes room.
    assert_eq!(case.beat(&c, 5_000), Heard::New);
    case.changes(&[PermDown(a), Up(c)]);
    assert_eq!(case.members.len(), 2);
}

#[test]
fn ended_lives_are_forgotten_beyond_their_limit() {
    let mut case = Case::new();
    for life in 0..2 * ENDED_LIVES_MAX as u64 {
        case.beat(&id("a", life), 0);
        case.now += Duration::from_millis(1);
    }
    assert_eq!(case.members.ended.lives.len(), ENDED_LIVES_MAX);
    assert_eq!(case.members.ended.order.len(), ENDED_LIVES_MAX);
}

#[test]
fn for_who_leaves_all_others_are_gone() {
    let (mut case, a, b) = (Case::new(), id("a", 7), id("b", 8));
    case.beat(&a, 0);
    case.pass(5_000);
    case.beat(&b, 0);
    case.members.take_changes();
    case.members.leave();
    case.changes(&[PermDown(a), Down(b.clone()), PermDown(b)]);
}

proptest! {
    /// Whatever happens: of a life one hears Up first, then Down, and nothing after a Down but Up or PermDown; one life of a
    /// name is up at a time; and the members are those that are not permanently down.
    #[test]
    fn events_make_sense(steps in proptest::collection::vec((0..6_u8, 0..3_u64, 0..4_u64, 0..4_000_u64), 1..200)) {
        let mut case = Case::with_nodes_max(2);
        let mut standing: HashMap<NodeId, Standing> = HashMap::new();
        for (what, name, life, ms) in steps {
            let who = id(["a", "b", "c"][name as usize], life);
            match what {
                0 | 1 => drop(case.beat(&who, ms)),
                2 => case.leave(&who),
                3 => drop(case.members.frame(who, case.now)),
                4 => case.members.link(ms % 2 == 0, case.now),
                _ => case.pass(ms),
            }
            for change in case.members.take_changes() {
                let (id, legal, next) = match change {
                    Up(id) => (id, [None, Some(Standing::Down)], Some(Standing::Up)),
                    Suspect(id) => (id, [Some(Standing::Up); 2], Some(Standing::Suspect)),
                    Recovered(id) => (id, [Some(Standing::Suspect); 2], Some(Standing::Up)),
                    Down(id) => (id, [Some(Standing::Up), Some(Standing::Suspect)], Some(Standing::Down)),
                    PermDown(id) => (id, [Some(Standing::Down); 2], None),
                    NodeEvent::EngineUp(_) | NodeEvent::EngineDown(_) => unreachable!("it is no member's"),
                };
                prop_assert!(legal.contains(&standing.get(&id).copied()), "{id}: {standing:?} then {next:?}");
                match next {
                    Some(next) => standing.insert(id, next),
                    None => standing.remove(&id),
                };
            }
            let mut names: Vec<_> = standing.keys().map(|id| id.name().clone()).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!((names.len(), case.members.len()), (standing.len(), standing.len()));
            prop_assert!(standing.len() <= 2);
        }
    }
}
