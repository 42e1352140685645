//! The window by itself: room is taken, given back, and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use super::Window;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_full_window_lets_nothing_through_and_wakes_once_when_half_is_free() {
    let (wakes, window) = (Arc::new(Wakes::default()), Window::new(4));
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    for _ in 0..4 {
        assert!(window.poll_room(&mut cx).is_ready());
        window.take();
    }
    assert!(window.poll_room(&mut cx).is_pending());
    window.give_back();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "a quarter is not worth a wake");
    window.give_back();
    window.give_back();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(window.poll_room(&mut cx).is_ready());
}

#[test]
fn what_was_never_counted_leaves_no_debt() {
    let window = Window::new(1);
    let mut cx = Context::from_waker(Waker::noop());
    window.give_back();
    window.take();
    assert!(window.poll_room(&mut cx).is_pending());
}
