//! Channels within an axum application: its REST API takes orders, and every page that is open shows them as they come.
//!
//! `cargo run --release --bin in_axum`, then open the printed address. Or place an order from elsewhere:
//! `curl -d '{"item": "tea"}' -H 'content-type: application/json' http://127.0.0.1:4000/orders`

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use examples::npm;
use heronry::application::Application;
use heronry_channels::prelude::*;
use heronry_channels::{Broadcaster, Endpoint};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

/// A longer name of an item is refused: everybody is shown it.
const ITEM_CHARS_MAX: usize = 80;

#[derive(Clone, Deserialize, Serialize)]
struct Order {
    item: String,
}

/// Anybody may look.
struct Visitor;

impl Socket for Visitor {
    type Assigns = ();

    async fn connect(&self, _: &Connect) -> Result<(), Refusal> {
        Ok(())
    }

    fn channels(routes: Routes<Self>) -> Routes<Self> {
        routes.channel::<Orders>("orders")
    }
}

/// Hears of orders; takes none, since they come by HTTP.
struct Orders;

impl Channel for Orders {
    type Socket = Visitor;
    type Msg = ();

    async fn join(_: &str, _: Payload, _: &mut ChannelSocket<Self>) -> Join<Self> {
        Ok((Orders, Payload::empty()))
    }
}

/// What axum's handlers share.
struct Shop {
    broadcaster: Broadcaster,
}

async fn place(State(shop): State<Arc<Shop>>, Json(order): Json<Order>) -> impl IntoResponse {
    if order.item.trim().is_empty() || order.item.chars().count() > ITEM_CHARS_MAX {
        let reason = format!("an item has 1 to {ITEM_CHARS_MAX} characters");
        return (StatusCode::UNPROCESSABLE_ENTITY, reason).into_response();
    }
    match shop.broadcaster.broadcast("orders", "placed", json!({ "item": order.item })) {
        Ok(()) => (StatusCode::CREATED, Json(order)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn page() -> Html<&'static str> {
    Html(include_str!("../../web/in_axum/index.html"))
}

async fn tree() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], heronry::inspect::tree().to_string())
}

#[tokio::main]
async fn main() -> ExitCode {
    examples::log::init("heronry=info");
    match run().await {
        Ok(status) => status,
        Err(error) => {
            // Nothing else can be done if not even this can be written.
            drop(writeln!(std::io::stderr(), "in_axum: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let port = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 4_000,
        [flag, port] if flag == "--port" => port.parse()?,
        _ => return Err("usage: in_axum [--port PORT]".into()),
    };
    let web = examples::web_folder();
    let endpoint = Endpoint::builder()
        .socket("/socket", Visitor)
        .file("/assets/phoenix.mjs", web.join("node_modules/phoenix/priv/static/phoenix.mjs"))
        .build()?;
    let shop = Arc::new(Shop { broadcaster: endpoint.broadcaster() });
    let router = Router::new()
        .route("/", get(page))
        .route("/tree", get(tree))
        .route("/orders", post(place))
        .with_state(shop)
        .fallback_service(endpoint.clone());

    let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    npm::ensure(&web)?;
    let application =
        Application::builder().label("in_axum").child(endpoint.sockets()).child(server(listener, router));
    let application = application.start().await?;
    writeln!(std::io::stdout(), "listening on http://{addr}")?;
    Ok(application.run().await)
}

/// axum's server as a child: it finishes the requests under way when it is told to stop, and is started again should it
/// fail. The port stays open meanwhile.
fn server(listener: std::net::TcpListener, router: Router) -> ChildSpec {
    ChildSpec::process("axum", move |mut ctx: Context<()>| {
        let (listener, router) = (listener.try_clone(), router.clone());
        async move {
            ctx.trap_exit(true);
            let stop = async move {
                ctx.receive().await;
            };
            axum::serve(TcpListener::from_std(listener?)?, router).with_graceful_shutdown(stop).await
        }
    })
}
