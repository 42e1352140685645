//! The words that every channel program uses: `use heronry_channels::prelude::*;`. It includes `heronry`'s.

pub use heronry::prelude::*;

pub use crate::channel::{Channel, ChannelSocket, Handled, Join, JoinError, Outcome};
pub use crate::endpoint::Endpoint;
pub use crate::message::{Payload, Reply};
pub use crate::socket::{Connect, Refusal, Routes, Socket};
