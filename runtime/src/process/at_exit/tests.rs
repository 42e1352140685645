//! Keepers that take notes.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::*;
use crate::sync::Mutex;

#[derive(Default)]
struct Notes {
    ended: Mutex<Vec<Pid>>,
    panics: bool,
}

impl Keeper for Notes {
    fn let_go(&self, pid: Pid) {
        self.ended.lock().push(pid);
        assert!(!self.panics, "a destructor's panic");
    }
}

fn weak(notes: &Arc<Notes>) -> Weak<dyn Keeper> {
    let weak: Weak<Notes> = Arc::downgrade(notes);
    weak
}

#[test]
fn each_is_told_once_and_a_panic_harms_no_other() {
    let pid = Pid::new(NonZeroU64::MIN);
    let bad = Arc::new(Notes { panics: true, ..Notes::default() });
    let good = Arc::new(Notes::default());
    let mut keepers = Keepers::default();
    for keeper in [&bad, &good, &bad, &good] {
        keepers.add(weak(keeper));
    }
    keepers.let_go(pid);
    assert_eq!((&*bad.ended.lock(), &*good.ended.lock()), (&vec![pid], &vec![pid]));
}

#[test]
fn keepers_that_are_gone_make_room() {
    let mut keepers = Keepers::default();
    for _ in 0..100 {
        keepers.add(weak(&Arc::new(Notes::default())));
    }
    assert_eq!(keepers.0.len(), 1);
}
