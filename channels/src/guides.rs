//! Guides: how to use what is here, one topic each. Their code compiles and runs with the tests.

#[doc = include_str!("../guides/channels.md")]
pub mod channels {}

#[doc = include_str!("../guides/authentication.md")]
pub mod authentication {}

#[doc = include_str!("../guides/unreliable_connections.md")]
pub mod unreliable_connections {}

#[doc = include_str!("../guides/writing_a_client.md")]
pub mod writing_a_client {}

#[doc = include_str!("../guides/coming_from_phoenix.md")]
pub mod coming_from_phoenix {}
