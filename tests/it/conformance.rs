//! The conformance application, row by row of what it promises to any Phoenix client, over raw frames.

mod binary;
mod connect;
mod disconnect;
mod ends;
mod events;
mod joins;
mod presence;
mod realtime;

use serde_json::{Value, json};
use tests::conformance_app;

use crate::support::{Client, TestServer};

async fn server() -> TestServer {
    let app = conformance_app::app(None).expect("its origins are patterns");
    TestServer::start_after(app.presence.child_spec(), app.endpoint).await
}

/// A server and a client that has joined the topic, with the join's reference.
async fn joined(topic: &str) -> (TestServer, Client, Value) {
    let server = server().await;
    let mut client = Client::connect(server.addr, "").await;
    let join_ref = json!(client.join(topic).await);
    (server, client, join_ref)
}

fn reply(join_ref: &Value, reference: &str, topic: &str, status: &str, response: Value) -> Value {
    json!([join_ref, reference, topic, "phx_reply", { "status": status, "response": response }])
}
