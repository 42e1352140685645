//! `tests/scenarios.md` is true: what it names is there, and it forgets nothing of what it began with.

use crate::tables::assert_true;

#[test]
fn the_table_names_tests_that_are_there() {
    assert_true("scenarios.md", 12, 0);
}
