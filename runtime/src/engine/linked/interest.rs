//! Which subjects a node wants on one lane, and which of them the broker knows of: what is left lingers, so that a topic that is
//! left and joined in turn costs the broker nothing.
//!
//! Pure: the time comes in.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Subject;
use crate::clock::Instant;

/// How long a subject that is not wanted any more is still received.
pub(super) const LINGER: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Interest {
    subjects: HashMap<Subject, State>,
    /// What the broker has not been told of yet.
    new: Vec<Subject>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Wanted,
    LeftAt(Instant),
}

/// What the broker has to be told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) subscribe: Vec<Subject>,
    pub(super) unsubscribe: Vec<Subject>,
}

impl Interest {
    /// Says whether the broker has something to be told at once.
    pub(super) fn set(&mut self, subject: &Subject, wanted: bool, now: Instant) -> bool {
        match (self.subjects.get_mut(subject), wanted) {
            (None, true) => {
                self.subjects.insert(subject.clone(), State::Wanted);
                self.new.push(subject.clone());
                true
            }
            (Some(state), true) => {
                *state = State::Wanted;
                false
            }
            (Some(state @ State::Wanted), false) => {
                *state = State::LeftAt(now);
                false
            }
            (Some(State::LeftAt(_)) | None, false) => false,
        }
    }

    /// What has changed, and what has lingered for long enough.
    pub(super) fn changes(&mut self, now: Instant) -> Changes {
        let mut unsubscribe = Vec::new();
        let expired = |state: &State| match state {
            State::Wanted => false,
            State::LeftAt(at) => now.duration_since(*at) >= LINGER,
        };
        self.subjects.retain(|subject, state| {
            let gone = expired(state);
            if gone {
                unsubscribe.push(subject.clone());
            }
            !gone
        });
        let subjects = &self.subjects;
        let subscribe = self.new.drain(..).filter(|subject| subjects.contains_key(subject)).collect();
        Changes { subscribe, unsubscribe }
    }

    /// All that a new connection has to be told: what only lingers is forgotten.
    pub(super) fn renew(&mut self) -> Vec<Subject> {
        self.new.clear();
        self.subjects.retain(|_, state| *state == State::Wanted);
        self.subjects.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject = Subject::Tracker(1, 1);

    fn subscribe() -> Changes {
        Changes { subscribe: vec![SUBJECT], unsubscribe: vec![] }
    }

    fn unsubscribe() -> Changes {
        Changes { subscribe: vec![], unsubscribe: vec![SUBJECT] }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_lingers_and_what_is_joined_again_costs_nothing() {
        let now = crate::clock::now();
        let mut interest = Interest::default();
        assert!(interest.set(&SUBJECT, true, now));
        assert!(!interest.set(&SUBJECT, true, now), "idempotent");
        assert_eq!(interest.changes(now), subscribe());
        assert!(!interest.set(&SUBJECT, false, now) && !interest.set(&SUBJECT, false, now + LINGER / 2));
        assert_eq!(interest.changes(now + LINGER / 2), Changes::default());
        assert!(!interest.set(&SUBJECT, true, now + LINGER / 2));
        assert_eq!(interest.changes(now + LINGER), Changes::default());
        interest.set(&SUBJECT, false, now + LINGER);
        assert_eq!(interest.changes(now + LINGER * 2), unsubscribe());
        assert_eq!(interest.changes(now + LINGER * 3), Changes::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_told_what_is_wanted_and_nothing_twice() {
        let now = crate::clock::now();
        let mut interest = Interest::default();
        interest.set(&SUBJECT, true, now);
        interest.set(&Subject::Tracker(2, 2), true, now);
        interest.set(&Subject::Tracker(2, 2), false, now);
        assert_eq!(interest.renew(), [SUBJECT]);
        assert_eq!(interest.changes(now + LINGER), Changes::default());
    }
}
