//! Guides: how to use what is here. Their code compiles and runs with the tests.

#[doc = include_str!("../guides/presence.md")]
pub mod presence {}
