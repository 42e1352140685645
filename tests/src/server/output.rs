//! Reads what a child process writes, keeps the end of it, and tells who waits when more has come.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

/// How much of a stream is kept, its end: a panic with its backtrace fits, a runaway log does not fill the memory.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// How much of one line is read at once; a longer one counts as several.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// One stream of a child, read to its end by a thread of its own, so that the child never blocks on a full pipe.
#[derive(Debug)]
pub(super) struct Output {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    kept_bytes: usize,
    dropped_bytes: usize,
    prefix: Option<String>,
    found: Option<String>,
    ended: bool,
}

impl Output {
    /// Reads `stream`; the first line that begins with `prefix` is found even if it is no longer kept.
    pub(super) fn read(stream: impl Read + Send + 'static, prefix: Option<&str>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().prefix = prefix.map(str::to_owned);
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || read_to_end(stream, &writer));
        Self { shared }
    }

    /// Waits for the line that begins with the prefix and gives its rest; `None` if the stream ends without one.
    pub(super) async fn found(&self) -> Option<String> {
        self.until(|state| state.found.is_some() || state.ended).await;
        self.shared.lock().found.clone()
    }

    /// Waits until the stream has ended.
    pub(super) async fn ended(&self) {
        self.until(|state| state.ended).await;
    }

    pub(super) fn text(&self) -> String {
        let state = self.shared.lock();
        let mut text = String::with_capacity(state.kept_bytes);
        if state.dropped_bytes > 0 {
            text.push_str(&format!("({} bytes before this are dropped)\n", state.dropped_bytes));
        }
        text.extend(state.lines.iter().map(String::as_str));
        text
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Enabled before the look at the state, so that a change in between is not missed.
            changed.as_mut().enable();
            if done(&self.shared.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

impl State {
    fn push(&mut self, line: String) {
        if self.found.is_none()
            && let Some(prefix) = &self.prefix
            && let Some(rest) = line.strip_prefix(prefix.as_str())
        {
            self.found = Some(rest.trim_end().to_owned());
        }
        self.kept_bytes += line.len();
        self.lines.push_back(line);
        while self.kept_bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.kept_bytes -= oldest.len();
            self.dropped_bytes += oldest.len();
        }
    }
}

fn read_to_end(stream: impl Read, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => shared.lock().push(String::from_utf8_lossy(&line).into_owned()),
        }
        shared.changed.notify_waiters();
    }
    shared.lock().ended = true;
    shared.changed.notify_waiters();
}

#[cfg(test)]
mod tests {
    use super::{KEPT_BYTES_MAX, Output};

    #[tokio::test]
    async fn keeps_the_end_and_still_finds_the_line_that_is_dropped() {
        let line = "x".repeat(99) + "\n";
        let text = format!("noise\nready at 7\n{}last\n", line.repeat(2 * KEPT_BYTES_MAX / line.len()));
        let output = Output::read(std::io::Cursor::new(text.into_bytes()), Some("ready at "));
        output.ended().await;
        assert_eq!(output.found().await.as_deref(), Some("7"));
        let kept = output.text();
        assert!(kept.ends_with("x\nlast\n") && kept.len() < KEPT_BYTES_MAX + 100, "{} bytes", kept.len());
        assert!(kept.starts_with('(') && kept.contains("bytes before this are dropped"));
    }
}
