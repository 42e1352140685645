//! `ChannelTest`'s assertions. They are macros so that a failure is located where the test is.

/// Waits for a message that a channel pushed to a client of the test, and gives it. Phoenix's `assert_push`.
///
/// After the [`ChannelTest`](crate::testing::ChannelTest) comes the event, or `_` for any. Then may come what is expected of
/// the payload: JSON, which it must have and may have more of, as a map that matches a pattern in Elixir (lists must match
/// as a whole); bytes, which it must be; or `name if guard`, where `name` is the payload as `&serde_json::Value`. Last may
/// come how long to wait, 100 ms unless told otherwise. It awaits by itself.
///
/// `phx_close` and `phx_error`, by which a client hears of its channel's end, are pushes too.
///
/// # Panics
/// If no such message comes; the panic shows what did. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_push {
    ($test:expr, $($what:tt)*) => {
        match $crate::__named!($test, assert_push, $($what)*).await {
            ::core::result::Result::Ok(message) => message,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    };
}

/// Waits, and sees to it that no such message is pushed. Phoenix's `refute_push`; the arguments are those of
/// [`assert_push!`](crate::testing::assert_push).
///
/// # Panics
/// If one is; the panic shows it. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_push {
    ($test:expr, $($what:tt)*) => {
        if let ::core::result::Result::Err(failure) = $crate::__named!($test, refute_push, $($what)*).await {
            ::core::panic!("{failure}");
        }
    };
}

/// Waits for a broadcast on a topic that the test is subscribed to, and gives it. Phoenix's `assert_broadcast`; the
/// arguments are those of [`assert_push!`](crate::testing::assert_push).
///
/// # Panics
/// If none comes; the panic shows what did. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_broadcast {
    ($test:expr, $($what:tt)*) => {
        match $crate::__named!($test, assert_broadcast, $($what)*).await {
            ::core::result::Result::Ok(broadcast) => broadcast,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    };
}

/// Waits, and sees to it that nothing such is broadcast. Phoenix's `refute_broadcast`; the arguments are those of
/// [`assert_push!`](crate::testing::assert_push).
///
/// # Panics
/// If it is; the panic shows it. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_broadcast {
    ($test:expr, $($what:tt)*) => {
        if let ::core::result::Result::Err(failure) = $crate::__named!($test, refute_broadcast, $($what)*).await {
            ::core::panic!("{failure}");
        }
    };
}

/// Waits for the reply to something that a client of the test has pushed, and gives its response. Phoenix's `assert_reply`.
///
/// After the test come the [`PushRef`](crate::testing::PushRef) and a pattern for the
/// [`Status`](crate::testing::Status); then, as with [`assert_push!`](crate::testing::assert_push), what is expected of
/// the response, and how long to wait.
///
/// # Panics
/// If it does not come; the panic shows what did. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_reply {
    ($test:expr, $reference:expr, $status:pat $(, $($what:tt)*)?) => {
        match $crate::__replied!($test, assert_reply, $reference, $status, $($($what)*)?).await {
            ::core::result::Result::Ok(response) => response,
            ::core::result::Result::Err(failure) => ::core::panic!("{failure}"),
        }
    };
}

/// Waits, and sees to it that there is no such reply. Phoenix's `refute_reply`; the arguments are those of
/// [`assert_reply!`](crate::testing::assert_reply), without a status for any.
///
/// # Panics
/// If there is one; the panic shows it. If the test's process has ended.
///
/// An example is in the [module](crate::testing).
#[doc(hidden)]
#[macro_export]
macro_rules! __refute_reply {
    ($test:expr, $reference:expr $(,)?) => {
        $crate::__refute_reply!($test, $reference, _)
    };
    ($test:expr, $reference:expr, $status:pat $(, $($what:tt)*)?) => {
        if let ::core::result::Result::Err(failure) =
            $crate::__replied!($test, refute_reply, $reference, $status, $($($what)*)?).await
        {
            ::core::panic!("{failure}");
        }
    };
}

/// Calls a method with an event, what is expected, and a time.
#[doc(hidden)]
#[macro_export]
macro_rules! __named {
    ($test:expr, $method:ident, _ $(, $($what:tt)*)?) => {
        $crate::__expected!([$test.$method][::core::option::Option::None,] $($($what)*)?)
    };
    ($test:expr, $method:ident, $event:expr $(, $($what:tt)*)?) => {
        $crate::__expected!([$test.$method][::core::option::Option::Some($event),] $($($what)*)?)
    };
}

/// Calls a method with a reference, a status, what is expected, and a time.
#[doc(hidden)]
#[macro_export]
macro_rules! __replied {
    ($test:expr, $method:ident, $reference:expr, $status:pat, $($what:tt)*) => {
        $crate::__expected!([$test.$method][
            &$reference,
            ::core::stringify!($status),
            |status: &$crate::testing::Status| ::core::matches!(status, $status),
        ] $($what)*)
    };
}

/// Calls a method with what is expected and a time, after its other arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __expected {
    ([$($call:tt)*][$($args:tt)*]) => {
        $($call)*($($args)* $crate::testing::Expected::Any, ::core::option::Option::None)
    };
    ([$($call:tt)*][$($args:tt)*] $payload:ident if $guard:expr $(, $time:expr)? $(,)?) => {
        $($call)*(
            $($args)*
            $crate::testing::Expected::If(::core::stringify!($guard), &|$payload| $guard),
            ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?,
        )
    };
    ([$($call:tt)*][$($args:tt)*] _ $(, $time:expr)? $(,)?) => {
        $($call)*(
            $($args)*
            $crate::testing::Expected::Any,
            ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?,
        )
    };
    ([$($call:tt)*][$($args:tt)*] $expected:expr $(, $time:expr)? $(,)?) => {
        $($call)*(
            $($args)*
            $crate::testing::Expected::Contains(::core::convert::Into::into($expected)),
            ::core::option::Option::None::<::std::time::Duration>$(.or(::core::option::Option::Some($time)))?,
        )
    };
}

// Macros are exported at the root of a crate, whatever their module: there under names that do not show.
pub use {
    __assert_broadcast as assert_broadcast, __assert_push as assert_push, __assert_reply as assert_reply,
    __refute_broadcast as refute_broadcast, __refute_push as refute_push, __refute_reply as refute_reply,
};
