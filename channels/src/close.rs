//! The codes with which a WebSocket is closed.
//!
//! Pure: names for numbers of RFC 6455, section 7.4, and of the IANA registry.

/// Why the server closes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCode {
    /// All is done.
    Normal,
    /// The socket's id was told to disconnect, or its client was silent too long.
    GoingAway,
    /// The client broke the WebSocket protocol.
    ProtocolError,
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// The client reads too slowly for what its channels send, or sends more control frames or fragments than it may.
    PolicyViolation,
    /// A message was larger than allowed.
    TooBig,
    /// A message could not be decoded.
    InternalError,
    /// The server restarts: connect again.
    Restart,
    /// The server has no room now: connect again later.
    TryAgain,
}

impl CloseCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1_000,
            Self::GoingAway => 1_001,
            Self::ProtocolError => 1_002,
            Self::InvalidUtf8 => 1_007,
            Self::PolicyViolation => 1_008,
            Self::TooBig => 1_009,
            Self::InternalError => 1_011,
            Self::Restart => 1_012,
            Self::TryAgain => 1_013,
        }
    }

    /// What the client reads beside the number: no detail of the server's.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "disconnected",
            Self::ProtocolError => "protocol error",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::PolicyViolation => "too slow",
            Self::TooBig => "message too big",
            Self::InternalError => "undecodable message",
            Self::Restart => "server restarts",
            Self::TryAgain => "try again later",
        }
    }
}
