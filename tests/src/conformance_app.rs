//! The application behind the binary `conformance`: a server that any Phoenix client can be pointed at, with one topic
//! or event for each thing that channels can do.
//!
//! It is written with the public API alone, as a user of the crates would write it. The tests of this workspace start
//! it in their own process.

mod admin;
mod online;
mod presence;
mod realtime;
mod room;
mod system;
mod user_socket;

use std::error::Error;
use std::time::Duration;

use heronry::Name;
use heronry::cluster::Node;
use heronry_channels::http::Method;
use heronry_channels::{
    CheckOrigin, Endpoint, EndpointBuilder, HttpLimits, Limits, LongPollOptions, OriginError, SocketOptions,
};

use heronry_presence::Presence;

use user_socket::UserSocket;

/// The pages that may connect.
const ORIGINS: [&str; 3] = ["//localhost", "//127.0.0.1", "//*.allowed.test"];

/// The largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 2 << 20;

/// What may wait for one client, in bytes: room for some of the largest answers that a client can ask for at once.
const OUTBOUND_BYTES_MAX: usize = 16 << 20;

/// The application, not built yet.
#[derive(Debug)]
pub struct ConformanceApp {
    /// `/socket`, `/socket-fast` and the routes below `/conformance`.
    pub endpoint: EndpointBuilder,
    /// Who is in the topics `presence:*` and `realtime:*`; for the supervision tree, before the endpoint.
    pub presence: Presence,
}

/// What all nodes sign long-poll sessions with. A secret of a server for tests alone.
const SECRET: &str = "conformance conformance conformance conformance conformance conformance";

/// The application of one server alone, or of a node of a cluster; not built yet.
///
/// # Errors
/// Only if one of its origins were no pattern, or its name none.
pub fn app(node: Option<&Node>) -> Result<ConformanceApp, Box<dyn Error + Send + Sync>> {
    let limits = Limits {
        idle_timeout: Duration::from_secs(60),
        outbound_bytes_max: OUTBOUND_BYTES_MAX,
        ..Limits::default()
    };
    let fast_limits = Limits { idle_timeout: Duration::from_millis(600), frame_bytes_max: 65_536, ..limits };
    let long_poll = LongPollOptions { window: Duration::from_secs(10), ..LongPollOptions::default() };
    let fast_long_poll = LongPollOptions {
        window: Duration::from_millis(400),
        lookup_timeout: Duration::from_millis(300),
        ..long_poll
    };
    let options = |limits, long_poll| {
        let check_origin = CheckOrigin::list(ORIGINS)?;
        Ok::<_, OriginError>(SocketOptions {
            limits,
            check_origin,
            auth_token: true,
            long_poll,
            ..SocketOptions::default()
        })
    };
    let builder = match node {
        Some(node) => Endpoint::over(node, Name::parse("conformance")?),
        None => Endpoint::builder(),
    };
    let builder = builder.secret_key_base(SECRET);
    let presence = online::presence(builder.broadcaster(), node.cloned());
    let user_socket = || UserSocket { presence: presence.clone() };
    let builder = builder
        .http_limits(HttpLimits { body_bytes_max: BODY_BYTES_MAX, ..HttpLimits::default() })
        .socket_with("/socket", user_socket(), options(limits, long_poll)?)
        .socket_with("/socket-fast", user_socket(), options(fast_limits, fast_long_poll)?);
    let broadcaster = builder.broadcaster();
    let broadcast = move |request| std::future::ready(admin::broadcast(&broadcaster, &request));
    let broadcaster = builder.broadcaster();
    let disconnect = move |request| std::future::ready(admin::disconnect(&broadcaster, &request));
    let endpoint = builder.route(Method::POST, "/conformance/broadcast", broadcast).route(
        Method::POST,
        "/conformance/disconnect",
        disconnect,
    );
    Ok(ConformanceApp { endpoint, presence })
}
