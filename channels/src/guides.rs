//! Guides: how to use what is here, one topic each. Their code compiles and runs with the tests.

#[doc = include_str!("../guides/channels.md")]
pub mod channels {}

#[cfg(feature = "longpoll")]
#[doc = include_str!("../guides/writing_a_client.md")]
pub mod writing_a_client {}
