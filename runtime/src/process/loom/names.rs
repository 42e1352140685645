//! Names and keepers: whoever sees an end finds the ground clear.

use std::sync::{Arc, Mutex, Weak};

use super::*;
use crate::pid::Pid;
use crate::process::at_exit::Keeper;
use crate::process::names::{RegisterError, register, unregister, whereis_pid};

#[test]
fn a_name_is_free_before_the_end_of_its_process_is_seen() {
    check(|| {
        let (process, next) = (prepare::<()>(&SpawnOptions::new()), prepare::<()>(&SpawnOptions::new()));
        let task = run(&process, |_ctx| async {});
        let named = process.clone();
        let namer = meanwhile(move || match register("name", &named) {
            Ok(()) => {}
            Err(RegisterError::NotNameable(pid)) => assert_eq!(pid, named.pid()),
            Err(RegisterError::Taken(_, pid)) => assert_ne!(pid, named.pid()),
            Err(error) => panic!("{error}"),
        });
        block_on(process.wait());
        assert_eq!(whereis_pid("name"), None);
        assert_eq!(register("name", &next), Ok(()));
        namer.join().unwrap();
        task.join().unwrap();
        assert_eq!(whereis_pid("name"), Some(next.pid()));
    });
}

#[test]
fn an_end_takes_no_name_from_who_has_it_next() {
    check(|| {
        let (process, next) = (prepare::<()>(&SpawnOptions::new()), prepare::<()>(&SpawnOptions::new()));
        register("name", &process).unwrap();
        let task = run(&process, |_ctx| async {});
        unregister("name");
        assert_eq!(register("name", &next), Ok(()));
        task.join().unwrap();
        assert_eq!(whereis_pid("name"), Some(next.pid()));
        assert!(unregister("name"));
    });
}

#[derive(Default)]
struct Notes(Mutex<Vec<Pid>>);

impl Keeper for Notes {
    fn let_go(&self, pid: Pid) {
        self.0.lock().unwrap().push(pid);
    }
}

#[test]
fn a_keeper_that_was_taken_on_lets_go_before_the_end_is_seen() {
    check(|| {
        let process = prepare::<()>(&SpawnOptions::new());
        let task = run(&process, |_ctx| async {});
        let notes = Arc::new(Notes::default());
        let weak: Weak<Notes> = Arc::downgrade(&notes);
        let kept = process.at_exit(weak);
        block_on(process.wait());
        assert_eq!(*notes.0.lock().unwrap(), Vec::from_iter(kept.then_some(process.pid())));
        task.join().unwrap();
    });
}
