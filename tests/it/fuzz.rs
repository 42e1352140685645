//! Bytes at a running server: whatever is sent, the connection ends or goes on, in bounded time, and nobody else
//! notices.
//!
//! `HERONRY_FUZZ_CASES=10000 cargo test -p tests --test it fuzz` is a longer run. A failure prints the smallest input
//! that it was found to fail for, and the `PROPTEST_RNG_SEED` that repeats the run. The fuzz targets of what reads the bytes
//! stand beside that, in `channels/src`.

mod input;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heronry::ExitReason;
use heronry::process::ProcessCrashed;
use heronry::telemetry::{self, Event, HandlerId};
use heronry_channels::prelude::*;
use heronry_channels::{CheckOrigin, HttpLimits, Limits, LongPollOptions, SocketOptions};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::channels::room::Lab;
use crate::support::{Client, TestServer};

/// Cases of a target, unless `HERONRY_FUZZ_CASES` says otherwise.
const CASES_DEFAULT: u32 = 256;

/// How long the server may take to be done with a connection whose client has said all that it will. It waits for the
/// close of a client for 2 s; the rest is for a busy machine.
const BOUND: Duration = Duration::from_secs(8);

/// The users of the sockets under fire, which tell their crashes from each other's and from those that other tests ask
/// for.
const FRAMES_USER: &str = "fuzzed-frames";
const REQUESTS_USER: &str = "fuzzed-requests";

/// A server under fire, with somebody beside who must not notice.
struct Range {
    runtime: Runtime,
    server: TestServer,
    bystander: Mutex<Option<Client>>,
    /// Panics of sockets.
    panics: Arc<Mutex<Vec<String>>>,
    handler: HandlerId,
}

impl Range {
    /// `user` is that of the sockets.
    fn new(user: &'static str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let panics: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = panics.clone();
        let handler = telemetry::attach(move |event: &dyn Event| {
            let crash = (event as &dyn std::any::Any).downcast_ref::<ProcessCrashed>();
            if let Some(crash) = crash.filter(|crash| {
                crash.label.as_str().contains(user) && matches!(crash.reason, ExitReason::Panic(_))
            }) {
                into.lock().expect("nobody panics with it").push(crash.to_string());
            }
        });
        let limits = Limits { idle_timeout: Duration::from_secs(2), ..Limits::default() };
        let long_poll = LongPollOptions { window: Duration::from_millis(100), ..LongPollOptions::default() };
        let options =
            SocketOptions { limits, long_poll, check_origin: CheckOrigin::Off, ..SocketOptions::default() };
        let http = HttpLimits {
            head_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(1),
            ..HttpLimits::default()
        };
        let builder =
            Endpoint::builder().http_limits(http).socket_with("/socket", Lab::default(), options.clone());
        // A bystander says nothing for as long as it likes.
        let options = SocketOptions { limits: Limits::default(), ..options };
        let builder = builder.socket_with("/beside", Lab::default(), options);
        let (server, bystander) = runtime.block_on(async {
            let server = TestServer::start(builder).await;
            let beside = "/beside/websocket?vsn=2.0.0";
            let (mut bystander, _) = Client::open(server.addr, beside, &[]).await.expect("accepted");
            bystander.join("room:beside").await;
            (server, bystander)
        });
        Self { runtime, server, bystander: Mutex::new(Some(bystander)), panics, handler }
    }

    /// Runs `attack` on inputs; after each the bystander must be well and no socket may have panicked.
    fn run<S: Strategy>(&self, inputs: &S, attack: impl AsyncFn(SocketAddr, S::Value) -> TestCaseResult) {
        let wanted = std::env::var("HERONRY_FUZZ_CASES").ok();
        let cases =
            wanted.map_or(CASES_DEFAULT, |cases| cases.parse().expect("HERONRY_FUZZ_CASES is a number"));
        // Each try to find a smaller input may take its whole bound.
        let config = ProptestConfig::default();
        let seed = match config.rng_seed {
            RngSeed::Fixed(seed) => seed,
            RngSeed::Random => RandomState::new().build_hasher().finish(),
        };
        let rng_seed = RngSeed::Fixed(seed);
        let config =
            ProptestConfig { cases, rng_seed, max_shrink_iters: 200, failure_persistence: None, ..config };
        let ran = TestRunner::new(config).run(inputs, |input| {
            self.runtime.block_on(async {
                attack(self.server.addr, input).await?;
                let mut bystander = self.bystander.lock().expect("nobody panics with it").take();
                bystander.as_mut().expect("it was put back").assert_alive().await;
                *self.bystander.lock().expect("nobody panics with it") = bystander;
                let panics = std::mem::take(&mut *self.panics.lock().expect("nobody panics with it"));
                prop_assert!(panics.is_empty(), "{panics:?}");
                Ok(())
            })
        });
        if let Err(error) = ran {
            panic!("with PROPTEST_RNG_SEED={seed}: {error}");
        }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        telemetry::detach(self.handler);
    }
}

/// Sends bytes and no more, and reads what the server has to say until it closes.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, TestCaseError> {
    let mut tcp = TcpStream::connect(addr).await.expect("the server listens");
    let mut answer = Vec::new();
    let done = timeout(BOUND, async {
        // What fails here is that the server has had enough before all was said.
        drop(tcp.write_all(bytes).await);
        drop(tcp.shutdown().await);
        drop(tcp.read_to_end(&mut answer).await);
    });
    prop_assert!(done.await.is_ok(), "the server was not done with {} bytes after {BOUND:?}", bytes.len());
    Ok(answer)
}

#[test]
fn any_bytes_on_a_websocket() {
    let range = Range::new(FRAMES_USER);
    range.run(&input::websocket(), async |addr, frames| {
        let request = format!(
            "GET /socket/websocket?vsn=2.0.0&user_id={FRAMES_USER} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = exchange(addr, &[request.as_bytes(), &frames].concat()).await?;
        // A client that was seen to close its half before it was answered is gone, and gets no answer.
        let accepted = answer.is_empty() || answer.starts_with(b"HTTP/1.1 101 ");
        prop_assert!(accepted, "{}", String::from_utf8_lossy(&answer));
        Ok(())
    });
}

#[test]
fn any_bytes_where_a_request_is_expected() {
    let range = Range::new(REQUESTS_USER);
    range.run(&input::requests(REQUESTS_USER), async |addr, bytes| {
        let answer = exchange(addr, &bytes).await?;
        prop_assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        prop_assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    });
}
