//! The helpers for users' tests: `heronry::testing`.

mod channel;
mod clock;
mod receive;
mod supervised;
mod telemetry;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

/// Runs what must panic, and gives what the panic says.
pub(crate) async fn failure<T>(test: impl Future<Output = T>) -> String {
    let mut test = pin!(test);
    let caught = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(payload) => std::task::Poll::Ready(Err(payload)),
    });
    let Err(payload) = caught.await else { panic!("it did not panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&'static str>().expect("a text")).to_owned(),
    }
}
