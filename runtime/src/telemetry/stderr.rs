//! Panics in processes on standard error, for a program whose log nobody reads: as many in a window as the log would have,
//! and the others are counted and said.

use std::io::{self, Write as _};

use super::rate::{RateLimit, Verdict, WINDOW};
use crate::clock;
use crate::sync::outside::Mutex;

static LIMIT: Mutex<Option<RateLimit>> = Mutex::new(None);

/// Prints one panic, or counts it.
pub(crate) fn panic(print: impl FnOnce()) {
    let now = clock::now();
    let verdict = LIMIT.lock().get_or_insert_with(|| RateLimit::new(now)).check(now);
    match verdict {
        Verdict::Log { suppressed_before } => {
            suppressed(suppressed_before);
            print();
        }
        Verdict::SuppressFirst => flush_later(),
        Verdict::Suppress => {}
    }
}

/// A storm may end without another panic that could report what was kept back: a task does so after the window.
fn flush_later() {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        // Nobody can wait here: the count stays for the next panic that is printed, or that is kept back in a runtime.
        if let Some(limit) = LIMIT.lock().as_mut() {
            limit.postpone();
        }
        return;
    };
    let report = Report;
    runtime.spawn(async move {
        tokio::time::sleep(WINDOW).await;
        drop(report);
    });
}

/// Reports what was kept back when it is dropped: also if its task goes down with its runtime.
struct Report;

impl Drop for Report {
    fn drop(&mut self) {
        let count = LIMIT.lock().as_mut().map_or(0, RateLimit::report);
        suppressed(count);
    }
}

fn suppressed(count: u64) {
    if count > 0 {
        // Where standard error is closed nobody reads it.
        writeln!(io::stderr(), "{count} more panics in processes not shown").ok();
    }
}
