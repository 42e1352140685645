//! A table, and the maps against a naive model: one list of memberships, one of monitors.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

fn pid(number: u8) -> Pid {
    Pid::new(NonZeroU64::new(u64::from(number) + 1).unwrap())
}

type Small = State<&'static str, u8, char>;

/// As the shell does it: with a key of its own that is taken only if it is needed.
fn join<G: Eq + Hash + Copy, W: Clone>(state: &mut State<G, u8, W>, who: u8, group: G) -> Change<G, u8, W> {
    let (before, mut key) = (state.groups.len(), Some(group));
    let change = state.join(pid(who), who, &mut key, &Arc::new(group));
    assert_eq!(key.is_none(), state.groups.len() > before);
    change
}

fn monitor<G: Eq + Hash + Copy, W: Clone>(
    state: &mut State<G, u8, W>,
    who: u8,
    group: G,
    monitor: W,
) -> Monitored<G> {
    state.monitor(pid(who), monitor, &mut Some(group), &Arc::new(group))
}

/// (group, member, who hears of it)
fn seen<G: Copy, W: Clone>(change: &Change<G, u8, W>) -> (G, u8, Vec<W>) {
    (*change.group, change.member, change.monitors.clone())
}

fn all_seen<G: Copy, W: Clone>(left: &Left<G, u8, W>) -> Vec<(G, u8, Vec<W>)> {
    left.changes.iter().map(seen).collect()
}

#[test]
fn joining_twice_counts_twice() {
    let mut state = Small::new();
    for _ in 0..2 {
        assert_eq!(seen(&join(&mut state, 1, "g")), ("g", 1, vec![]));
    }
    assert_eq!(state.members("g"), [1, 1]);
    for left in [vec![1], vec![]] {
        assert_eq!(state.leave(pid(1), "g").as_ref().map(seen), Some(("g", 1, vec![])));
        assert_eq!(state.members("g"), left);
    }
    assert!(state.leave(pid(1), "g").is_none());
    assert!(state.is_empty());
}

#[test]
fn monitors_hear_of_their_group_and_of_the_scope() {
    let mut state = Small::new();
    join(&mut state, 1, "g");
    let scope = state.monitor_scope(pid(9), 's');
    let own = monitor(&mut state, 9, "g", 'm');
    assert_eq!(seen(&join(&mut state, 2, "g")), ("g", 2, vec!['m', 's']));
    assert_eq!(seen(&join(&mut state, 2, "other")), ("other", 2, vec!['s']));
    let left = state.ended(pid(2));
    assert_eq!(all_seen(&left), [("g", 2, vec!['m', 's']), ("other", 2, vec!['s'])]);
    assert_eq!(state.demonitor(&own).map(|ended| ended.monitor), Some('m'));
    assert!(state.demonitor(&own).is_none());
    assert_eq!(seen(&join(&mut state, 3, "g")), ("g", 3, vec!['s']));
    assert_eq!(state.demonitor(&scope).map(|ended| ended.monitor), Some('s'));
    assert!(state.demonitor(&scope).is_none());
    assert_eq!(state.leave(pid(1), "g").as_ref().map(seen), Some(("g", 1, vec![])));
}

#[test]
fn an_empty_group_is_forgotten_once_nobody_monitors_it() {
    let mut state = Small::new();
    let monitored = monitor(&mut state, 9, "g", 'm');
    assert!(state.which_groups().is_empty() && state.all().is_empty());
    join(&mut state, 1, "g");
    assert_eq!(state.which_groups(), [Arc::new("g")]);
    assert_eq!(state.all(), [(Arc::new("g"), vec![1])]);
    assert!(state.ended(pid(1)).changes[0]._gone.is_none());
    assert!(state.which_groups().is_empty() && state.all().is_empty());
    assert_eq!(state.demonitor(&monitored).and_then(|ended| ended._gone), Some("g"));
    assert!(state.is_empty());
}

#[test]
fn monitors_end_with_their_process_and_do_not_hear_of_its_own_end() {
    let mut state = Small::new();
    join(&mut state, 1, "g");
    let own = monitor(&mut state, 1, "g", 'm');
    let scope = state.monitor_scope(pid(1), 's');
    let left = state.ended(pid(1));
    assert_eq!(all_seen(&left), [("g", 1, vec![])]);
    assert_eq!(left.ended.iter().map(|ended| ended.monitor).collect::<Vec<_>>(), ['m', 's']);
    assert!(state.demonitor(&own).is_none() && state.demonitor(&scope).is_none());
    assert!(state.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8, u8),
    Leave(u8, u8),
    End(u8),
    Monitor(u8, u8),
    MonitorScope(u8),
    Demonitor(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u8..4, 0_u8..3).prop_map(|(pid, group)| Step::Join(pid, group)),
        2 => (0_u8..4, 0_u8..3).prop_map(|(pid, group)| Step::Leave(pid, group)),
        1 => (0_u8..6).prop_map(Step::End),
        1 => (2_u8..6, 0_u8..3).prop_map(|(pid, group)| Step::Monitor(pid, group)),
        1 => (2_u8..6).prop_map(Step::MonitorScope),
        1 => any::<usize>().prop_map(Step::Demonitor),
    ]
}

/// A monitor as a user is one: it began with what there was and applies what it hears.
struct View {
    owner: u8,
    monitored: Monitored<u8>,
    /// (process, group)
    members: Vec<(u8, u8)>,
    over: bool,
}

struct Both {
    state: State<u8, u8, usize>,
    /// (process, group) in the order of joining.
    joined: Vec<(u8, u8)>,
    views: Vec<View>,
}

impl Both {
    /// What a step changed reaches exactly those who monitor it.
    fn hear(&mut self, change: &Change<u8, u8, usize>, joined: bool) {
        let entry = (change.member, *change.group);
        for monitor in &change.monitors {
            let view = &mut self.views[*monitor];
            assert!(!view.over);
            if joined {
                view.members.push(entry);
            } else {
                let at = view.members.iter().position(|member| *member == entry);
                view.members.remove(at.expect("who leaves was there before"));
            }
        }
    }

    fn begin(&mut self, owner: u8, monitored: Monitored<u8>) {
        let only = monitored.group.as_deref().copied();
        let members = self.joined.iter().filter(|(_, group)| only.is_none_or(|only| only == *group));
        let members = members.copied().collect();
        self.views.push(View { owner, monitored, members, over: false });
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Join(who, group) => {
                let change = join(&mut self.state, who, group);
                self.joined.push((who, group));
                self.hear(&change, true);
            }
            Step::Leave(who, group) => {
                let change = self.state.leave(pid(who), &group);
                let at = self.joined.iter().rposition(|entry| *entry == (who, group));
                assert_eq!(change.is_some(), at.is_some());
                if let (Some(change), Some(at)) = (change, at) {
                    self.joined.remove(at);
                    self.hear(&change, false);
                }
            }
            Step::End(who) => {
                self.views.iter_mut().filter(|view| view.owner == who).for_each(|view| view.over = true);
                let left = self.state.ended(pid(who));
                left.changes.iter().for_each(|change| self.hear(change, false));
                self.joined.retain(|entry| entry.0 != who);
            }
            Step::Monitor(who, group) => {
                let monitored = monitor(&mut self.state, who, group, self.views.len());
                self.begin(who, monitored);
            }
            Step::MonitorScope(who) => {
                let monitored = self.state.monitor_scope(pid(who), self.views.len());
                self.begin(who, monitored);
            }
            Step::Demonitor(any) if !self.views.is_empty() => {
                let which = any % self.views.len();
                let view = &mut self.views[which];
                let ended = self.state.demonitor(&view.monitored);
                assert_eq!(ended.is_some(), !view.over);
                view.over = true;
            }
            Step::Demonitor(_) => {}
        }
    }

    fn compare(&self) {
        for group in 0..3 {
            let model: Vec<u8> =
                self.joined.iter().filter(|entry| entry.1 == group).map(|entry| entry.0).collect();
            assert_eq!(self.state.members(&group), model);
            assert_eq!(self.state.which_groups().contains(&Arc::new(group)), !model.is_empty());
        }
        assert_eq!(
            self.state.all().iter().map(|(_, members)| members.len()).sum::<usize>(),
            self.joined.len()
        );
        for (which, view) in self.views.iter().enumerate().filter(|(_, view)| !view.over) {
            let only = view.monitored.group.as_deref().copied();
            let there = self.joined.iter().filter(|(_, group)| only.is_none_or(|only| only == *group));
            let mut there: Vec<_> = there.copied().collect();
            let mut seen = view.members.clone();
            there.sort_unstable();
            seen.sort_unstable();
            assert_eq!(seen, there, "monitor {which}");
        }
    }
}

proptest! {
    #[test]
    fn groups_and_every_monitors_view_agree_with_a_list(steps in prop::collection::vec(step(), 1..100)) {
        let mut both = Both { state: State::new(), joined: Vec::new(), views: Vec::new() };
        for step in &steps {
            both.apply(step);
            both.compare();
        }
        (0..6).for_each(|who| both.apply(&Step::End(who)));
        prop_assert!(both.state.is_empty());
    }
}
