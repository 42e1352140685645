//! The chat: rooms, names and messages through the official phoenix.js, and a button that crashes one's own channel.
//!
//! `cargo run --release --bin chat`, then open the printed address. `/tree` shows the living supervision tree.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::npm;
use heronry::application::{Application, ApplicationError};
use heronry_channels::http::{Method, Response, header};
use heronry_channels::prelude::*;
use heronry_channels::{Body, Bound, Endpoint, EndpointError, ListenError};
use serde::Deserialize;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PORT_DEFAULT: u16 = 4_000;
/// Names and bodies longer than this are refused: they are shown to everybody in the room.
const NAME_CHARS_MAX: usize = 40;
const BODY_CHARS_MAX: usize = 2_000;

/// Who connects: anybody, by the name that they give.
struct UserSocket;

struct User {
    name: String,
}

impl Socket for UserSocket {
    type Assigns = User;

    async fn connect(&self, connect: &Connect) -> Result<User, Refusal> {
        let name = connect.params.get_str("name").unwrap_or_default().trim();
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(Refusal::forbidden());
        }
        Ok(User { name: if name.is_empty() { "somebody" } else { name }.to_owned() })
    }

    fn id(&self, user: &User) -> Option<String> {
        Some(format!("user_socket:{}", user.name))
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Room>("room:*")
    }
}

/// One member in one room.
struct Room;

enum RoomMsg {
    AfterJoin,
}

#[derive(Deserialize)]
struct Said {
    body: String,
}

impl Channel for Room {
    type Socket = UserSocket;
    type Msg = RoomMsg;

    async fn join(_topic: &str, _payload: Payload, socket: &mut ChannelSocket<Self>) -> Join<Self> {
        socket.addr().send(RoomMsg::AfterJoin)?;
        Ok((Room, Payload::empty()))
    }

    async fn handle_info(&mut self, msg: RoomMsg, socket: &mut ChannelSocket<Self>) -> Outcome {
        match msg {
            RoomMsg::AfterJoin => {
                socket.broadcast_from("joined", json!({ "name": socket.assigns().name }))?;
                Ok(Handled::NoReply)
            }
        }
    }

    async fn handle_in(
        &mut self,
        event: &str,
        payload: Payload,
        socket: &mut ChannelSocket<Self>,
    ) -> Outcome {
        match event {
            "message" => {
                let Ok(Said { body }) = payload.parse() else {
                    return Ok(Handled::error(json!({ "reason": "a message is {\"body\": \"some text\"}" })));
                };
                if body.trim().is_empty() || body.chars().count() > BODY_CHARS_MAX {
                    let reason = format!("a message has 1 to {BODY_CHARS_MAX} characters");
                    return Ok(Handled::error(json!({ "reason": reason })));
                }
                socket.broadcast("message", json!({ "name": socket.assigns().name, "body": body }))?;
                Ok(Handled::ok())
            }
            "crash" => panic!("{} asked for it", socket.assigns().name),
            other => Ok(Handled::error(json!({ "reason": format!("there is no event {other:?} here") }))),
        }
    }
}

/// Why the chat does not start.
enum Failure {
    Usage(String),
    Npm(npm::NpmError),
    File(PathBuf, std::io::Error),
    Endpoint(EndpointError),
    Listen(ListenError),
    Application(ApplicationError),
    System(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}; usage: chat [--port PORT]"),
            Self::Npm(error) => error.fmt(f),
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Endpoint(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Application(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(status) => status,
        Err(failure) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(std::io::stderr(), "chat: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let port = port(std::env::args().skip(1))?;
    examples::log::init("heronry=info");
    let web = examples::web_folder();
    let endpoint = endpoint(&web)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::System)?;
    runtime.block_on(async {
        let bound = endpoint.bind(SocketAddr::from(([127, 0, 0, 1], port))).map_err(Failure::Listen)?;
        npm::ensure(&web).map_err(Failure::Npm)?;
        serve(bound).await
    })
}

async fn serve(bound: Bound) -> Result<ExitCode, Failure> {
    let chat = Application::builder().label("chat").child(bound.child_spec()).start();
    let chat = chat.await.map_err(Failure::Application)?;
    let ready = writeln!(std::io::stdout(), "listening on http://{}", bound.local_addr());
    ready.map_err(Failure::System)?;
    Ok(chat.run().await)
}

fn endpoint(web: &Path) -> Result<Endpoint, Failure> {
    let page = web.join("chat/index.html");
    let assets = [
        ("/", page),
        ("/assets/chat.js", web.join("chat/chat.js")),
        ("/assets/chat.css", web.join("chat/chat.css")),
    ];
    let mut endpoint = Endpoint::builder()
        .socket("/socket", UserSocket)
        .route(Method::GET, "/tree", |_| async { tree_as_text() })
        .file("/assets/phoenix.mjs", web.join("node_modules/phoenix/priv/static/phoenix.mjs"));
    for (path, file) in assets {
        std::fs::File::open(&file).map_err(|error| Failure::File(file.clone(), error))?;
        endpoint = endpoint.file(path, file);
    }
    endpoint.build().map_err(Failure::Endpoint)
}

fn tree_as_text() -> Response<Body> {
    let mut response = Response::new(Body::from(heronry::inspect::tree().to_string()));
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

fn port(mut args: impl Iterator<Item = String>) -> Result<u16, Failure> {
    let port = match args.next().as_deref() {
        None => return Ok(PORT_DEFAULT),
        Some("--port") => args.next().ok_or_else(|| Failure::Usage("--port needs a number".to_owned()))?,
        Some(other) => return Err(Failure::Usage(format!("unknown argument {other:?}"))),
    };
    if let Some(other) = args.next() {
        return Err(Failure::Usage(format!("unknown argument {other:?}")));
    }
    port.parse().map_err(|_| Failure::Usage(format!("{port:?} is no port (0 to 65535)")))
}
