//! ExUnit's assertions on what was received. They are macros because a pattern is none of Rust's values, and so that a
//! failure is located where the test is.

/// Waits for a message that matches a pattern, and takes it out of the mailbox; others stay. ExUnit's `assert_receive`.
///
/// The first argument is a [`TestProcess`](crate::testing::TestProcess) or a
/// [`TelemetryTest`](crate::testing::TelemetryTest), then comes the pattern, with `if` and a guard if need be. Its value is
/// the message, or after `=>` what is made of the pattern's bindings. Last comes how long to wait; unless told otherwise
/// [100 ms](crate::testing::ASSERT_RECEIVE_TIMEOUT_DEFAULT). It awaits by itself.
///
/// # Panics
/// If no such message comes; the panic shows the pattern and what is in the mailbox. If the test's process has ended.
///
/// ```
/// use std::time::Duration;
/// use heronry::testing::{TestProcess, assert_receive};
///
/// #[derive(Debug, PartialEq)]
/// enum Msg { Sum(u64), Text(String) }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = TestProcess::start();
/// test.addr().send(Msg::Text("seven".into())).unwrap();
/// test.addr().send(Msg::Sum(7)).unwrap();
/// assert_receive!(test, Msg::Sum(n) if n > 5);
/// let text = assert_receive!(test, Msg::Text(text) => text, Duration::from_secs(1));
/// assert_eq!(text, "seven");
/// # }
/// ```
///
/// ```should_panic
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = heronry::testing::TestProcess::<u8>::start();
/// heronry::testing::assert_receive!(test, 1);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_receive {
    ($test:expr, $pattern:pat $(if $guard:expr)? => $value:expr $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        let pattern = ::core::stringify!($pattern $(if $guard)?);
        let asserted = $test.assert_message(pattern, time, |message| {
            #[allow(unreachable_patterns, reason = "the pattern may match everything")]
            match message {
                $pattern $(if $guard)? => ::core::ops::ControlFlow::Break($value),
                message => ::core::ops::ControlFlow::Continue(message),
            }
        });
        match asserted.await {
            ::core::result::Result::Ok(value) => value,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    }};
    ($test:expr, $pattern:pat $(if $guard:expr)? $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        let pattern = ::core::stringify!($pattern $(if $guard)?);
        let asserted =
            $test.assert_message(pattern, time, |message| $crate::__whole!(message, $pattern $(if $guard)?));
        match asserted.await {
            ::core::result::Result::Ok(message) => message,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    }};
}

/// [`assert_receive!`](crate::testing::assert_receive) for a message that is in the mailbox already: it does not wait.
/// ExUnit's `assert_received`.
///
/// # Panics
/// If there is no such message.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut test = heronry::testing::TestProcess::start();
/// test.addr().send(1).unwrap();
/// heronry::testing::assert_received!(test, 1);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_received {
    ($test:expr, $pattern:pat $(if $guard:expr)? $(=> $value:expr)? $(,)?) => {
        $crate::__assert_receive!($test, $pattern $(if $guard)? $(=> $value)?, ::std::time::Duration::ZERO)
    };
}

/// Waits, and sees to it that no message comes that matches a pattern. ExUnit's `refute_receive`.
///
/// The arguments are those of [`assert_receive!`](crate::testing::assert_receive) without `=>`; it waits for
/// [100 ms](crate::testing::REFUTE_RECEIVE_TIMEOUT_DEFAULT) unless told otherwise. With a running clock that may be too
/// short for what is slow; with a paused one nothing is.
///
/// # Panics
/// If there is such a message, or one comes; the panic shows it. If the test's process has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = heronry::testing::TestProcess::start();
/// test.addr().send(1).unwrap();
/// heronry::testing::refute_receive!(test, n if n > 1);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_receive {
    ($test:expr, $pattern:pat $(if $guard:expr)? $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        let pattern = ::core::stringify!($pattern $(if $guard)?);
        let refuted =
            $test.refute_message(pattern, time, |message| $crate::__whole!(message, $pattern $(if $guard)?));
        if let ::core::result::Result::Err(failure) = refuted.await {
            ::core::panic!("{failure}");
        }
    }};
}

/// [`refute_receive!`](crate::testing::refute_receive) for what is in the mailbox already: it does not wait. ExUnit's
/// `refute_received`.
///
/// # Panics
/// If there is such a message.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut test = heronry::testing::TestProcess::<u8>::start();
/// heronry::testing::refute_received!(test, _);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_received {
    ($test:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {
        $crate::__refute_receive!($test, $pattern $(if $guard)?, ::std::time::Duration::ZERO)
    };
}

/// Waits for the `Down` of a monitor, and gives the exit reason. ExUnit's `assert_receive {:DOWN, ^ref, _, _, reason}`.
///
/// After the [`TestProcess`](crate::testing::TestProcess) and the monitor may come a pattern for the reason, with `if` and
/// a guard if need be, and how long to wait.
///
/// # Panics
/// If it does not come, or its reason does not match; the panic shows what is in the mailbox. If the test's process has
/// ended.
///
/// ```
/// use heronry::prelude::*;
/// use heronry::testing::{TestProcess, assert_down};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = TestProcess::<()>::start();
/// let brief = spawn(|_: Context<()>| async { panic!("ill") });
/// let monitor = test.monitor(brief.pid());
/// assert_down!(test, monitor, ExitReason::Panic(report) if report.message == "ill");
/// let monitor = test.monitor(brief.pid());
/// assert_eq!(assert_down!(test, monitor), ExitReason::NoProc);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_down {
    ($test:expr, $monitor:expr $(,)?) => {
        $crate::__assert_down!($test, $monitor, _)
    };
    ($test:expr, $monitor:expr, $pattern:pat $(if $guard:expr)? $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        let pattern = ::core::stringify!($pattern $(if $guard)?);
        let asserted =
            $test.assert_down($monitor, pattern, time, |reason| $crate::__whole!(reason, $pattern $(if $guard)?));
        match asserted.await {
            ::core::result::Result::Ok(reason) => reason,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    }};
}

/// Waits, and sees to it that a monitored process goes on: that the `Down` of this monitor does not come.
///
/// # Panics
/// If it comes; the panic shows it. If the test's process has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = heronry::testing::TestProcess::<()>::start();
/// let idle = heronry::spawn(|mut ctx: heronry::Context<()>| async move { ctx.receive().await; });
/// let monitor = test.monitor(idle.pid());
/// heronry::testing::refute_down!(test, monitor);
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_down {
    ($test:expr, $monitor:expr $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        if let ::core::result::Result::Err(failure) = $test.refute_down($monitor, time).await {
            ::core::panic!("{failure}");
        }
    }};
}

/// Waits for the exit signal of a process, and gives its reason: for a test whose process
/// [traps exits](crate::Context::trap_exit). ExUnit's `assert_receive {:EXIT, ^pid, reason}`.
///
/// The arguments are those of [`assert_down!`](crate::testing::assert_down), with the pid in place of the monitor.
///
/// # Panics
/// If it does not come, or its reason does not match; the panic shows what is in the mailbox. If the test's process has
/// ended, by the exit signal if it did not trap it.
///
/// ```
/// use heronry::prelude::*;
/// use heronry::testing::{TestProcess, assert_exit};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = TestProcess::<()>::start();
/// test.trap_exit(true);
/// let ill = test.context().spawn_link(SpawnOptions::new(), |_: Context<()>| async { panic!("ill") });
/// assert_exit!(test, ill.pid(), ExitReason::Panic(_));
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_exit {
    ($test:expr, $pid:expr $(,)?) => {
        $crate::__assert_exit!($test, $pid, _)
    };
    ($test:expr, $pid:expr, $pattern:pat $(if $guard:expr)? $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        let pattern = ::core::stringify!($pattern $(if $guard)?);
        let asserted =
            $test.assert_exit($pid, pattern, time, |reason| $crate::__whole!(reason, $pattern $(if $guard)?));
        match asserted.await {
            ::core::result::Result::Ok(reason) => reason,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    }};
}

/// Waits, and sees to it that no exit signal comes from a process.
///
/// # Panics
/// If one comes; the panic shows it. If the test's process has ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let mut test = heronry::testing::TestProcess::<()>::start();
/// test.trap_exit(true);
/// let idle = heronry::spawn(|mut ctx: heronry::Context<()>| async move { ctx.receive().await; });
/// test.link(idle.pid());
/// heronry::testing::refute_exit!(test, idle.pid());
/// # }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_exit {
    ($test:expr, $pid:expr $(, $time:expr)? $(,)?) => {{
        let time = ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?;
        if let ::core::result::Result::Err(failure) = $test.refute_exit($pid, time).await {
            ::core::panic!("{failure}");
        }
    }};
}

/// A value as `Break` if it matches, as `Continue` if not. That a guard fails leaves the value where it is: so the bindings of the
/// pattern have their own types in it, and the value is whole afterwards.
#[doc(hidden)]
#[macro_export]
macro_rules! __whole {
    ($value:ident, $pattern:pat $(if $guard:expr)?) => {{
        let mut matches = false;
        match $value {
            $pattern if {
                matches |= true $(&& $guard)?;
                false
            } => ::core::unreachable!(),
            value if matches => ::core::ops::ControlFlow::Break(value),
            value => ::core::ops::ControlFlow::Continue(value),
        }
    }};
}

// Macros are exported at the root of a crate, whatever their module: there under names that do not show.
pub use {
    __assert_down as assert_down, __assert_exit as assert_exit, __assert_receive as assert_receive,
    __assert_received as assert_received, __refute_down as refute_down, __refute_exit as refute_exit,
    __refute_receive as refute_receive, __refute_received as refute_received,
};
