//! The endpoint's own server over TLS, with a certificate that each test makes for itself.

use std::sync::Arc;
use std::time::Duration;

use heronry_channels::prelude::*;
use heronry_channels::{HttpLimits, Tls, TlsError};
use rcgen::{CertifiedKey, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::room::Lab;
use crate::support::{Client, TestServer, within};

fn certified() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made")
}

async fn server(certified: &CertifiedKey<KeyPair>) -> TestServer {
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a pair");
    let limits = HttpLimits { tls_timeout: Duration::from_millis(300), ..HttpLimits::default() };
    TestServer::start(Endpoint::builder().socket("/socket", Lab::default()).http_limits(limits).tls(tls))
        .await
}

async fn connect(
    server: &TestServer,
    certified: &CertifiedKey<KeyPair>,
    protocol: &[u8],
) -> std::io::Result<Box<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).expect("it is a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let tcp = TcpStream::connect(server.addr).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connect = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    within("the handshake", connect).await.map(Box::new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_requests_work_over_tls() {
    let certified = certified();
    let server = server(&certified).await;
    let tls = connect(&server, &certified, b"http/1.1").await.expect("it is trusted");
    let mut client = Client::over(tls, "").await.expect("it is accepted");
    let join_ref = json!(client.join("room:secret").await);
    // Longer than a record, both ways.
    let payload = json!({ "long": "x".repeat(100_000) });
    client.push(join_ref, "room:secret", "echo", payload.clone()).await;
    assert_eq!(client.frame().await[4]["response"], payload);
    let mut tls = connect(&server, &certified, b"http/1.1").await.expect("it is trusted");
    tls.write_all(b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("room");
    let mut answer = String::new();
    within("the answer", tls.read_to_string(&mut answer)).await.expect("it says goodbye");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    within("the end", async { tokio::join!(server.tree.stop(), client.close_code()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_is_ended() {
    let certified = certified();
    let server = server(&certified).await;
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0xff; 5_000]]
    {
        let mut tcp = TcpStream::connect(server.addr).await.expect("the server listens");
        tcp.write_all(bytes).await.expect("room");
        let mut answer = Vec::new();
        drop(within("the end", tcp.read_to_end(&mut answer)).await);
        assert!(answer.len() < 100 && !answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(connect(&server, &certified, b"h2").await.is_err(), "only HTTP/1.1 is spoken");
    let tls = connect(&server, &certified, b"http/1.1").await.expect("the others are served");
    Client::over(tls, "").await.expect("it is accepted").assert_alive().await;
}

#[test]
fn what_is_no_certificate_with_its_key_is_refused() {
    let (one, other) = (certified(), certified());
    let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let foreign = other.signing_key.serialize_pem();
    let from = |certificate: &str, key: &str| Tls::from_pem(certificate.as_bytes(), key.as_bytes());
    assert!(from(&certificate, &key).is_ok());
    assert!(matches!(from("", &key), Err(TlsError::Certificate(_))));
    assert!(matches!(from(&key, &key), Err(TlsError::Certificate(_))));
    assert!(matches!(from(&certificate.replace('M', "?"), &key), Err(TlsError::Certificate(_))));
    assert!(matches!(from(&certificate, ""), Err(TlsError::Key(_))));
    assert!(matches!(from(&certificate, &certificate), Err(TlsError::Key(_))));
    assert!(matches!(from(&certificate, &foreign), Err(TlsError::Pair(_))));
}
