//! HTTP bodies: what is answered, and what is read, within limits.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

/// Any error of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a response: a text, bytes, or a file that is read while it is sent.
///
/// ```
/// use heronry_channels::{Body, http::Response};
///
/// let response = Response::new(Body::from("hello"));
/// # drop(response);
/// ```
pub struct Body(UnsyncBoxBody<Bytes, BoxError>);

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// Any body.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::new(Full::new(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// A request body that was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge(usize),
    TooSlow(Duration),
    Broken(BoxError),
}

impl ReadError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(max) => write!(f, "the body is larger than {max} bytes"),
            Self::TooSlow(time) => write!(f, "the body did not arrive within {time:?}"),
            Self::Broken(error) => write!(f, "the body can't be read: {error}"),
        }
    }
}

/// Reads a whole body of at most `bytes_max` within `time`.
pub(crate) async fn read<B>(body: B, bytes_max: usize, time: Duration) -> Result<Bytes, ReadError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send,
{
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(ReadError::TooLarge(bytes_max));
    }
    let body = std::pin::pin!(body);
    match tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge(bytes_max)),
        Ok(Err(error)) => Err(ReadError::Broken(error)),
        Err(_) => Err(ReadError::TooSlow(time)),
    }
}
