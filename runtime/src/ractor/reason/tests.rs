//! What the ends of ractor actors are as exit reasons.

use super::{ExitError, of_failure, of_stop};
use crate::exit::ExitReason;

#[test]
fn stops() {
    fn check(reason: Option<&str>, in_order: bool, expect: ExitReason) {
        assert_eq!(of_stop(reason.map(str::to_owned), in_order), expect, "{reason:?}, {in_order}");
    }
    check(None, true, ExitReason::Normal);
    check(Some("left"), true, ExitReason::shutdown_with("left"));
    check(Some("killed"), true, ExitReason::shutdown_with("killed"));
    check(Some("killed"), false, ExitReason::Killed);
    check(Some("actor_task_cancelled"), false, ExitReason::Killed);
}

#[test]
fn failures() {
    let reason = ExitReason::custom("disk full");
    assert_eq!(of_failure(ExitError::new(reason.clone()).into()), reason);
    assert_eq!(of_failure("no luck".into()).to_string(), "error: no luck");
}
