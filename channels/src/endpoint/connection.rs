//! One HTTP connection: the body of its process. After an upgrade nothing of it is left.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heronry::ExitReason;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Endpoint, HttpLimits};
use crate::body::Body;
use crate::socket::Peer;
use crate::transport::Guarded;

/// The smallest buffer that the HTTP layer works with.
const BUFFER_BYTES_MIN: usize = 8_192;

/// Serves a connection until it closes, is upgraded, or breaks a limit.
pub(super) async fn open(endpoint: Endpoint, stream: TcpStream, peer: SocketAddr) -> ExitReason {
    #[cfg(feature = "tls")]
    if let Some(tls) = &endpoint.inner.tls {
        return match tls.accept(stream, endpoint.inner.http.tls_timeout).await {
            Ok(stream) => serve(endpoint, stream, peer).await,
            Err(why) => ExitReason::shutdown_with(why),
        };
    }
    serve(endpoint, stream, peer).await
}

async fn serve<I>(endpoint: Endpoint, io: I, peer: SocketAddr) -> ExitReason
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = endpoint.inner.http;
    let ambiguous = Arc::new(AtomicBool::new(false));
    let io = Guarded::new(io, limits.write_timeout, ambiguous.clone());
    let mut drained = pin!(endpoint.drained());
    let service_endpoint = endpoint.clone();
    let service = hyper::service::service_fn(move |request| {
        let (endpoint, ambiguous) = (service_endpoint.clone(), ambiguous.clone());
        async move { Ok::<_, Infallible>(answer(&endpoint, &ambiguous, peer, request).await) }
    });
    let mut served = pin!(http1(&limits).serve_connection(TokioIo::new(io), service).with_upgrades());
    let mut told = false;
    let served = poll_fn(|cx| {
        if !told && drained.as_mut().poll(cx).is_ready() {
            told = true;
            // The request under way is answered; a connection between two requests ends.
            served.as_mut().graceful_shutdown();
        }
        served.as_mut().poll(cx)
    });
    match served.await {
        Ok(()) => ExitReason::Normal,
        // What a client did to its own connection is no crash of ours.
        Err(error) => ExitReason::shutdown_with(format!("http: {error}")),
    }
}

fn http1(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.headers_max)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max.max(BUFFER_BYTES_MIN));
    http
}

async fn answer(
    endpoint: &Endpoint,
    ambiguous: &AtomicBool,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Body> {
    // The connection is closed after it: the HTTP layer saw the two lengths as well.
    if request.headers().contains_key(TRANSFER_ENCODING) && ambiguous.load(Ordering::Relaxed) {
        let text =
            "the request gives the length of its body twice: by Content-Length and by Transfer-Encoding";
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    }
    request.extensions_mut().insert(Peer(peer));
    endpoint.inner.router.serve(request).await
}
