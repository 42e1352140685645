//! Tables, and the maps against a naive model: one list of entries.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

fn pid(number: u64) -> Pid {
    Pid::new(NonZeroU64::new(number + 1).unwrap())
}

fn entry<K, V>(key: K, number: u64, value: V) -> Entry<K, (), V> {
    Entry { pid: pid(number), key: Arc::new(key), addr: (), value: Arc::new(value) }
}

/// As the shell does it: with a key of its own that is taken only if it is needed.
fn add<K: Eq + Hash + Copy, V>(keys: &mut Keys<K, (), V>, key: K, number: u64, value: V) -> Serial {
    let (before, mut own) = (keys.by_key.len(), Some(key));
    let serial = keys.add(&mut own, entry(key, number, value));
    assert_eq!(own.is_none(), keys.by_key.len() > before);
    serial
}

fn claim<K: Eq + Hash + Copy, V>(
    keys: &mut Keys<K, (), V>,
    key: K,
    number: u64,
    value: V,
) -> Result<Serial, (Pid, Arc<V>)> {
    let claimed = keys.claim(&mut Some(key), entry(key, number, value));
    claimed.map_err(|(holder, refused)| (holder, refused.value))
}

fn values(keys: &Keys<&'static str, (), u8>, key: &str) -> Vec<u8> {
    let Some(entries) = keys.entries(key) else { return Vec::new() };
    entries.iter().map(|(_, entry)| *entry.value).collect()
}

#[test]
fn a_claim_is_refused_while_the_key_is_held() {
    let mut keys = Keys::new();
    let first = claim(&mut keys, "k", 1, 1).unwrap();
    let refused = claim(&mut keys, "k", 2, 2);
    assert_eq!((refused, values(&keys, "k"), keys.len()), (Err((pid(1), Arc::new(2))), vec![1], 1));
    assert!(keys.remove("k", first).is_some_and(|removed| removed._key == Some("k")));
    assert!(claim(&mut keys, "k", 2, 2).is_ok());
    // The first's serial means nothing any more.
    assert!(keys.remove("k", first).is_none());
    assert_eq!(values(&keys, "k"), [2]);
}

#[test]
fn one_becomes_many_and_one_again_in_the_order_of_registration() {
    let mut keys = Keys::new();
    let serials: Vec<_> = (0..3).map(|n| add(&mut keys, "k", n, n as u8)).collect();
    assert_eq!(values(&keys, "k"), [0, 1, 2]);
    assert!(keys.remove("k", serials[1]).is_some());
    assert_eq!(values(&keys, "k"), [0, 2]);
    assert!(keys.remove("k", serials[0]).is_some());
    assert!(matches!(keys.entries("k"), Some(Entries::One(..))));
    assert!(keys.remove("k", serials[0]).is_none());
    assert!(keys.remove("k", serials[2]).is_some());
    assert_eq!((keys.len(), keys.by_key.len()), (0, 0));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut keys = Keys::new();
    let first = add(&mut keys, "k", 0, 0);
    add(&mut keys, "k", 1, 1);
    let before = keys.entries("k").unwrap();
    keys.remove("k", first);
    add(&mut keys, "k", 2, 2);
    assert_eq!(before.iter().map(|(_, entry)| *entry.value).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(values(&keys, "k"), [1, 2]);
}

#[test]
fn a_value_is_replaced_in_its_entry_alone() {
    let mut keys = Keys::new();
    let first = add(&mut keys, "k", 0, 0);
    let second = add(&mut keys, "k", 1, 1);
    assert_eq!(keys.set_value("k", second, Arc::new(9)).as_deref(), Some(&1));
    assert_eq!(values(&keys, "k"), [0, 9]);
    keys.remove("k", first);
    assert_eq!(keys.set_value("k", first, Arc::new(8)), None);
    assert_eq!(keys.set_value("k", second, Arc::new(7)).as_deref(), Some(&9));
    assert_eq!(values(&keys, "k"), [7]);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u8),
    Claim(u64, u8),
    Unregister(u64, u8),
    Set(u64, u8),
    End(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0_u64..4;
    prop_oneof![
        (who.clone(), 0_u8..3).prop_map(|(pid, key)| Step::Add(pid, key)),
        (who.clone(), 0_u8..3).prop_map(|(pid, key)| Step::Claim(pid, key)),
        (who.clone(), 0_u8..3).prop_map(|(pid, key)| Step::Unregister(pid, key)),
        (who.clone(), 0_u8..3).prop_map(|(pid, key)| Step::Set(pid, key)),
        who.prop_map(Step::End),
    ]
}

/// (key, pid, value) in the order of registration.
type Model = Vec<(u8, Pid, usize)>;

struct Both {
    keys: Keys<u8, (), usize>,
    holders: Holders<u8>,
    model: Model,
}

impl Both {
    fn apply(&mut self, at: usize, step: &Step) {
        match *step {
            Step::Add(who, key) => {
                let serial = add(&mut self.keys, key, who, at);
                self.holders.add(pid(who), Arc::new(key), serial);
                self.model.push((key, pid(who), at));
            }
            Step::Claim(who, key) => {
                let holder = self.model.iter().find(|entry| entry.0 == key).map(|entry| entry.1);
                match claim(&mut self.keys, key, who, at) {
                    Err((told, _)) => assert_eq!(holder, Some(told)),
                    Ok(serial) => {
                        assert_eq!(holder, None);
                        self.holders.add(pid(who), Arc::new(key), serial);
                        self.model.push((key, pid(who), at));
                    }
                }
            }
            Step::Unregister(who, key) => {
                for (key, serial) in self.holders.take(pid(who), &key, |_| true) {
                    self.keys.remove(&*key, serial);
                }
                self.model.retain(|entry| (entry.0, entry.1) != (key, pid(who)));
            }
            Step::Set(who, key) => {
                let Some(entries) = self.keys.entries(&key) else { return };
                for (serial, _) in entries.iter().filter(|(_, entry)| entry.pid == pid(who)) {
                    assert!(self.keys.set_value(&key, serial, Arc::new(at)).is_some());
                }
                for entry in self.model.iter_mut().filter(|entry| (entry.0, entry.1) == (key, pid(who))) {
                    entry.2 = at;
                }
            }
            Step::End(who) => {
                for (key, serial) in self.holders.take_all(pid(who)) {
                    self.keys.remove(&*key, serial);
                }
                self.model.retain(|entry| entry.1 != pid(who));
            }
        }
    }

    fn compare(&self) {
        assert_eq!(self.keys.len(), self.model.len());
        for key in 0..3 {
            let entries = self.keys.entries(&key);
            let entries: Vec<_> = entries
                .iter()
                .flat_map(Entries::iter)
                .map(|(_, entry)| (key, entry.pid, *entry.value))
                .collect();
            let model: Model = self.model.iter().filter(|entry| entry.0 == key).copied().collect();
            assert_eq!(entries, model);
        }
        let listed: usize = self.keys.snapshot().iter().map(|entries| entries.iter().count()).sum();
        assert_eq!(listed, self.model.len());
    }
}

proptest! {
    #[test]
    fn duplicate_keys_agree_with_a_list(steps in prop::collection::vec(step(), 1..80)) {
        let mut both = Both { keys: Keys::new(), holders: Holders::new(), model: Vec::new() };
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Claim(..))) {
            both.apply(at, step);
            both.compare();
            for who in 0..4 {
                let mut keys: Vec<u8> = both.holders.keys(pid(who)).iter().map(|key| **key).collect();
                keys.sort_unstable();
                let mut model: Vec<u8> =
                    both.model.iter().filter(|entry| entry.1 == pid(who)).map(|entry| entry.0).collect();
                model.sort_unstable();
                prop_assert_eq!(keys, model);
            }
        }
    }

    #[test]
    fn unique_keys_agree_with_a_list(steps in prop::collection::vec(step(), 1..80)) {
        let mut both = Both { keys: Keys::new(), holders: Holders::new(), model: Vec::new() };
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Add(..))) {
            both.apply(at, step);
            both.compare();
        }
    }
}
