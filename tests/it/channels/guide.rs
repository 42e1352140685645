//! The transcripts in the guide to writing a client, played against a server: what it says is on the wire is.

use std::fs;

use heronry_channels::Limits;
use serde_json::Value;
use tests::workspace_root;
use tokio_tungstenite::tungstenite::Message;

use super::room::Lab;
use crate::support::{Client, TestServer, within};

/// A fenced block `transcript-v1` or `transcript-v2`.
struct Transcript {
    version: String,
    /// The number of its first line in the guide, and its lines.
    lines: Vec<(usize, String)>,
}

fn transcripts(guide: &str) -> Vec<Transcript> {
    let mut transcripts: Vec<Transcript> = Vec::new();
    let mut inside = false;
    for (at, line) in guide.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(tag) => {
                inside = tag.starts_with("transcript-v");
                if let Some(version) = tag.strip_prefix("transcript-v") {
                    transcripts.push(Transcript { version: version.to_owned(), lines: Vec::new() });
                }
            }
            None if inside => {
                let transcript = transcripts.last_mut().expect("invariant: a block was opened");
                transcript.lines.push((at + 1, line.to_owned()));
            }
            None => {}
        }
    }
    transcripts
}

/// Digits in pairs, with spaces anywhere.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("hex") as u8).collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {hex}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What a line says is sent.
#[derive(Debug, PartialEq)]
enum Sent {
    Json(Value),
    Bytes(Vec<u8>),
}

fn sent(text: &str) -> Sent {
    match text.strip_prefix("hex ") {
        Some(hex) => Sent::Bytes(bytes(hex)),
        None => Sent::Json(serde_json::from_str(text).expect("a line is JSON")),
    }
}

async fn received(client: &mut Client) -> Sent {
    match within("a frame", client.next()).await.expect("the connection is open").expect("a readable frame") {
        Message::Text(text) => Sent::Json(serde_json::from_str(&text).expect("a frame is JSON")),
        Message::Binary(bytes) => Sent::Bytes(bytes.to_vec()),
        other => panic!("neither text nor binary: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transcripts_of_the_guide_are_true() {
    let guide = workspace_root().join("channels/guides/writing_a_client.md");
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let transcripts = transcripts(&guide);
    let versions: Vec<&str> = transcripts.iter().map(|transcript| transcript.version.as_str()).collect();
    assert_eq!(versions, ["2", "2", "2", "1"]);
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    for Transcript { version, lines } in transcripts {
        let mut client = Client::connect(server.addr, &format!("vsn={version}.0.0")).await;
        for (at, line) in lines {
            match line.split_once(' ').expect("an arrow and a message") {
                ("→", text) => match sent(text) {
                    Sent::Json(_) => client.send_text(text).await,
                    Sent::Bytes(bytes) => client.send(Message::Binary(bytes.into())).await,
                },
                ("←", text) => {
                    assert_eq!(received(&mut client).await, sent(text), "line {at} of the guide")
                }
                _ => panic!("line {at} of the guide begins with no arrow"),
            }
        }
        if version == "2" {
            client.assert_alive().await; // and nothing came that the guide does not show
        }
    }
}
