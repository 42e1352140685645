//! The server that the load generator works on: echo, rooms, quiet topics, topics with presence, crashing topics.
//!
//! `cargo run --release -p bench --bin bench_server -- --port 4100` prints `listening on 127.0.0.1:4100` when ready.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use heronry::Name;
use heronry_channels::http::{Method, Request, Response, StatusCode};
use heronry_channels::prelude::*;
use heronry_channels::{Body, Broadcaster, CheckOrigin, Endpoint, Params, SocketOptions};
use heronry_presence::{Presence, TrackerOptions};
use serde::Deserialize;
use serde_json::json;
use tests::place::Place;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PORT_DEFAULT: u16 = 4_100;

struct BenchSocket {
    presence: Presence,
}

impl Socket for BenchSocket {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes
            .channel::<Echo>("bench:echo:*")
            .channel::<Room>("bench:room:*")
            .channel::<Quiet>("bench:quiet:*")
            .channel::<Present>("bench:presence:*")
            .channel::<Crash>("bench:crash:*")
    }
}

/// A channel that joins without conditions and handles one event.
macro_rules! channel {
    ($name:ident, |$event:ident, $payload:ident, $socket:ident| $body:expr) => {
        struct $name;

        impl Channel for $name {
            type Socket = BenchSocket;
            type Msg = ();

            async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
                Ok(($name, Payload::empty()))
            }

            async fn handle_in(
                &mut self,
                $event: &str,
                $payload: Payload,
                $socket: &mut ChannelSocket<Self>,
            ) -> Outcome {
                $body
            }
        }
    };
}

channel!(Echo, |event, payload, _socket| match event {
    "echo" => Ok(Handled::ok_with(payload)),
    other => panic!("no event {other:?}"),
});
channel!(Room, |event, payload, socket| match event {
    "shout" => {
        socket.broadcast("shout", payload)?;
        Ok(Handled::ok())
    }
    other => panic!("no event {other:?}"),
});
channel!(Quiet, |event, _payload, _socket| panic!("no event {event:?}"));
channel!(Crash, |event, _payload, _socket| panic!("{event}"));

/// A channel whose members know of each other.
struct Present {
    user_id: String,
}

struct AfterJoin;

#[derive(Deserialize)]
struct Joining {
    user_id: String,
}

impl Channel for Present {
    type Socket = BenchSocket;
    type Msg = AfterJoin;

    async fn join(_: &str, payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        let Joining { user_id } = payload.parse()?;
        socket.addr().send(AfterJoin)?;
        Ok((Self { user_id }, Payload::empty()))
    }

    async fn handle_info(&mut self, AfterJoin: AfterJoin, socket: &mut ChannelSocket<Self>) -> Outcome {
        let presence = &socket.handler().presence;
        let online_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        presence.track(socket, &self.user_id, json!({ "online_at": online_at })).await?;
        presence.push_state(socket).await?;
        Ok(Handled::NoReply)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(std::io::stderr(), "bench_server: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), bench::Error> {
    let place = Place::parse(std::env::args().skip(1), PORT_DEFAULT)?;
    bench::allow_open_files()?;
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(place))
}

async fn serve(place: Place) -> Result<(), bench::Error> {
    let options = SocketOptions { check_origin: CheckOrigin::Off, ..SocketOptions::default() };
    let node = place.node().await?;
    let builder = match &node {
        Some(node) => Endpoint::over(node, Name::parse("bench")?),
        None => Endpoint::builder(),
    };
    let options_of_presence = TrackerOptions { node: node.clone(), ..TrackerOptions::default() };
    let presence = Presence::new("bench", builder.broadcaster(), options_of_presence);
    let builder = builder.socket_with("/socket", BenchSocket { presence: presence.clone() }, options);
    let broadcaster = builder.broadcaster();
    let endpoint = builder
        .route(Method::POST, "/bench/broadcast", move |request: Request<_>| {
            std::future::ready(broadcast(&broadcaster, request.uri().query()))
        })
        .route(Method::GET, "/bench/info", |_| std::future::ready(info()))
        .build()?;
    let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], place.port)))?;
    let mut tree = Supervisor::one_for_one().label("bench");
    if let Some(node) = &node {
        tree = tree.child(node.child_spec());
    }
    let tree = tree.child(presence.child_spec()).child(bound.child_spec()).start().await?;
    writeln!(std::io::stdout(), "listening on {}", bound.local_addr())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tree.stop().await;
    Ok(())
}

fn answer(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

/// Broadcasts `n` payloads of `bytes` bytes and answers with the microseconds that it took.
fn broadcast(broadcaster: &Broadcaster, query: Option<&str>) -> Response<Body> {
    let params = match Params::parse(query.unwrap_or_default()) {
        Ok(params) => params,
        Err(error) => return answer(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let number = |name: &str| params.get_str(name).and_then(|text| text.parse::<usize>().ok());
    let (Some(topic), Some(event), Some(n), Some(bytes)) =
        (params.get_str("topic"), params.get_str("event"), number("n"), number("bytes"))
    else {
        return answer(StatusCode::BAD_REQUEST, "wanted: topic, event, n, bytes".to_owned());
    };
    let payload = Payload::from(json!({ "p": "x".repeat(bytes) }));
    let start = Instant::now();
    for _ in 0..n {
        if let Err(error) = broadcaster.broadcast(topic, event, payload.clone()) {
            return answer(StatusCode::BAD_REQUEST, error.to_string());
        }
    }
    answer(StatusCode::OK, start.elapsed().as_micros().to_string())
}

fn info() -> Response<Body> {
    let tree = heronry::inspect::tree();
    // A label is `socket` or `socket ID`, and `channel TOPIC`.
    let count = |what: &str| {
        tree.nodes.iter().filter(|node| node.label.as_str().split(' ').next() == Some(what)).count()
    };
    let rss = bench::rss_bytes(std::process::id()).unwrap_or_default();
    let info = json!({
        "processes": tree.nodes.len(),
        "sockets": count("socket"),
        "channels": count("channel"),
        "rss": rss,
    });
    answer(StatusCode::OK, info.to_string())
}
