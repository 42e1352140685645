//! Guides: how to use what is here, one topic each. Their code compiles and runs with the tests.

#[doc = include_str!("../guides/processes.md")]
pub mod processes {}

#[doc = include_str!("../guides/supervision.md")]
pub mod supervision {}

#[doc = include_str!("../guides/isolation.md")]
pub mod isolation {}

#[doc = include_str!("../guides/pubsub.md")]
pub mod pubsub {}

#[doc = include_str!("../guides/clustering.md")]
pub mod clustering {}

#[doc = include_str!("../guides/coming_from_erlang.md")]
pub mod coming_from_erlang {}

#[cfg(feature = "ractor")]
#[doc = include_str!("../guides/coming_from_ractor.md")]
pub mod coming_from_ractor {}
