//! Figures that tests come by: what `bench/results/failures.md` is made of.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

/// Adds a line to the file that `HERONRY_MEASURED` names, if it does: `row`, over what, what of it, in milliseconds.
pub(super) fn measured(row: &str, over: &str, what: &str, took: Duration) {
    let Some(path) = std::env::var_os("HERONRY_MEASURED") else { return };
    let mut file =
        OpenOptions::new().create(true).append(true).open(path).expect("HERONRY_MEASURED is a file");
    let line = format!("{row}\t{over}\t{what}\t{}\n", took.as_millis());
    file.write_all(line.as_bytes()).expect("HERONRY_MEASURED can be written to");
}
