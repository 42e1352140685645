//! Who is let in, who is not, and what the server knows of those who are.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::{reply, server};
use crate::support::http::{exchange, head, status};
use crate::support::{Client, TestServer};

const PATH: &str = "/socket/websocket?vsn=2.0.0";

/// The status with which a connection is answered, and the body of a refusal.
async fn refusal(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
    match Client::open(server.addr, path, headers).await {
        Ok(_) => (101, String::new()),
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
        }
        Err(error) => panic!("no HTTP answer: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_tokens() {
    let server = server().await;
    let table = [
        ("", 101, ""),
        ("?vsn=1.0.0", 101, ""),
        ("?vsn=1.0.9", 101, ""),
        ("?vsn=2.0.0", 101, ""),
        ("?vsn=2.0.17", 101, ""),
        ("?vsn=2.1.0", 403, ""),
        ("?vsn=3.0.0", 403, ""),
        ("?vsn=2.0", 403, ""),
        ("?vsn=", 403, ""),
        ("?vsn=x", 403, ""),
        ("?vsn=2.0.0&token=bad", 403, ""),
        ("?vsn=2.0.0&token=limited", 429, "Too many requests"),
        ("?vsn=2.0.0&token=good", 101, ""),
    ];
    for (query, status, body) in table {
        let got = refusal(&server, &format!("/socket/websocket{query}"), &[]).await;
        assert_eq!(got, (status, body.to_owned()), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origins() {
    let server = server().await;
    let table = [
        ("http://localhost", 101),
        ("https://localhost:1234", 101),
        ("http://127.0.0.1:8080", 101),
        ("https://allowed.test", 101),
        ("http://a.b.c.allowed.test:99", 101),
        ("https://notallowed.test", 403),
        ("https://allowed.test.evil.test", 403),
        ("http://localhost.evil.test", 403),
        ("https://evil.test", 403),
        ("null", 403),
    ];
    for (origin, status) in table {
        assert_eq!(refusal(&server, PATH, &[("origin", origin)]).await.0, status, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_upgrade_is_400() {
    let server = server().await;
    let table = [("GET", PATH, "400"), ("POST", PATH, "400"), ("PUT", "/socket/websocket", "400")];
    for (method, path, want) in table {
        let answer = exchange(server.addr, &head(method, path, "")).await;
        assert_eq!(status(&answer), want, "{method} {path}");
    }
    // As in Phoenix, who may not connect hears that first.
    let answer = exchange(server.addr, &head("GET", &format!("{PATH}&token=bad"), "")).await;
    assert_eq!(status(&answer), "403");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subprotocols() {
    let server = server().await;
    let table = [
        ("phoenix", Some("phoenix"), Value::Null),
        ("phoenix, base64url.bearer.phx.MTIzNA", Some("phoenix"), json!("1234")),
        ("base64url.bearer.phx.MTIzNA", None, json!("1234")),
    ];
    for (header, answered, token) in table {
        let headers = [("sec-websocket-protocol", header)];
        // A client must not accept an answer without a subprotocol to a request with some: this one does, to look at it.
        let opened = Client::open(server.addr, PATH, &headers).await;
        let Ok((mut client, response)) = opened else {
            assert_eq!(answered, None, "{header}");
            continue;
        };
        let got = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        assert_eq!(got, answered, "{header}");
        client.join("room:a").await;
        client.push(Value::Null, "room:a", "connect_info", json!({})).await;
        assert_eq!(client.frame().await[4]["response"]["auth_token"], token, "{header}");
    }
    for header in ["mqtt", "Phoenix", "mqtt, base64url.bearer.phx.MTIzNA", "phoenix, base64url.bearer.phx.%"]
    {
        let headers = [("sec-websocket-protocol", header)];
        assert_eq!(refusal(&server, PATH, &headers).await, (403, String::new()), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_knows() {
    let server = server().await;
    let path = format!("{PATH}&user_id=7&token=good&a[b]=c&a[d][e]=f&l[]=1&l[]=2&plus=a+b%26");
    let headers =
        [("user-agent", "test/1"), ("x-one", "1"), ("X-Two", "zwei"), ("traceparent", "00-ab-cd-01")];
    let (mut client, _) = Client::open(server.addr, &path, &headers).await.expect("accepted");
    let join_ref = json!(client.push(Value::Null, "room:a", "phx_join", json!({ "p": [1] })).await);
    client.expect(reply(&join_ref, "1", "room:a", "ok", json!({ "joined": "room:a" }))).await;
    let reference = client.push(join_ref.clone(), "room:a", "whoami", json!({})).await;
    let params =
        json!({ "user_id": "7", "a": { "b": "c", "d": { "e": "f" } }, "l": ["1", "2"], "plus": "a b&" });
    let me = json!({ "user_id": "7", "topic": "room:a", "transport": "websocket", "join_params": { "p": [1] },
        "connect_params": params });
    client.expect(reply(&join_ref, &reference, "room:a", "ok", me)).await;
    let reference = client.push(join_ref.clone(), "room:a", "connect_info", json!({})).await;
    let info = json!({ "user_agent": "test/1", "x_headers": { "x-one": "1", "x-two": "zwei" },
        "trace": { "traceparent": "00-ab-cd-01" }, "path": "/socket/websocket", "peer": "127.0.0.1",
        "auth_token": null });
    client.expect(reply(&join_ref, &reference, "room:a", "ok", info)).await;
}
