//! The chat example as its users see it: two browsers, a crash, and a server that dies.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use tests::{Browser, Key, Page, ServerError, ServerProcess, free_port, http_get, release_binary};
use tokio::time::{Instant, sleep};

use super::{Outcome, SHOWN_WITHIN};

/// How long the server may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How often the server's tree is asked for until it shows what it should.
const TREE_INTERVAL: Duration = Duration::from_millis(50);

/// Starts the chat example on `port` and waits until it listens.
pub(super) async fn start_chat(port: u16) -> Outcome<ServerProcess> {
    let port = port.to_string();
    let binary = release_binary("chat")?;
    Ok(ServerProcess::start(binary, ["--port", &port], "listening on ", READY_WITHIN).await?)
}

/// A chat server and two people in its lobby, each on a device of their own.
struct Lobby {
    port: u16,
    server: ServerProcess,
    ann: Page,
    bob: Page,
    _browser: Browser,
}

impl Lobby {
    async fn open() -> Outcome<Self> {
        let port = free_port()?;
        let server = start_chat(port).await?;
        let browser = Browser::launch().await?;
        let ann = enter(&browser, server.ready(), "ann").await?;
        let bob = enter(&browser, server.ready(), "bob").await?;
        Ok(Self { port, server, ann, bob, _browser: browser })
    }

    /// One message each way, seen by both.
    async fn chat(&self, subject: &str) -> Outcome {
        let (question, answer) = (format!("{subject}?"), format!("{subject}!"));
        say(&self.ann, &question).await?;
        for page in [&self.ann, &self.bob] {
            shows_message(page, &format!("ann: {question}")).await?;
        }
        self.bob.type_into("#body", &answer).await?;
        self.bob.press(Key::Enter).await?;
        for page in [&self.bob, &self.ann] {
            shows_message(page, &format!("bob: {answer}")).await?;
        }
        Ok(())
    }

    /// No page has complained about anything.
    fn assert_no_complaints(&self) {
        for page in [&self.ann, &self.bob] {
            assert_eq!(page.errors(), [], "a page complained");
        }
    }

    /// No page has complained about anything but WebSockets to this server that could not be opened: the browser
    /// reports each of the client's attempts during an outage, and no script can keep it from that.
    fn assert_only_failed_connects(&self) {
        let failed = format!("WebSocket connection to 'ws://127.0.0.1:{}/socket/websocket?", self.port);
        for page in [&self.ann, &self.bob] {
            let mut errors = page.errors();
            errors.retain(|error| !(error.text.starts_with(&failed) && error.text.contains("' failed: ")));
            assert_eq!(errors, [], "a page complained about more than the outage");
        }
    }
}

async fn enter(browser: &Browser, server: &str, name: &str) -> Outcome<Page> {
    let page = browser.context().await?.open(&format!("{server}/?room=lobby&name={name}")).await?;
    shows(&page, "#status", "connected").await?;
    shows(&page, "#channel", "joined").await?;
    Ok(page)
}

async fn say(page: &Page, body: &str) -> Outcome {
    page.type_into("#body", body).await?;
    Ok(page.click("#send").await?)
}

async fn shows(page: &Page, selector: &str, text: &str) -> Outcome {
    let condition =
        format!("document.querySelector({}).textContent.trim() === {}", json!(selector), json!(text));
    Ok(page.wait_for(&condition, SHOWN_WITHIN).await?)
}

/// Exactly one item of the messages is `text`: neither lost nor shown twice.
async fn shows_message(page: &Page, text: &str) -> Outcome {
    let items = "[...document.querySelectorAll('#messages li')].filter(item => item.textContent.trim() === ";
    Ok(page.wait_for(&format!("{items}{}).length === 1", json!(text)), SHOWN_WITHIN).await?)
}

#[tokio::test]
async fn two_devices_chat_in_both_directions() -> Outcome {
    let lobby = Lobby::open().await?;
    lobby.chat("how do you do").await?;
    lobby.chat("<b>\"quoted\" & ünïcode</b>").await?;
    lobby.assert_no_complaints();
    Ok(())
}

#[tokio::test]
async fn a_crashed_channel_comes_back_and_nobody_else_notices() -> Outcome {
    let lobby = Lobby::open().await?;
    lobby.chat("before").await?;
    lobby.ann.click("#crash").await?;
    shows(&lobby.ann, "#crashes", "1").await?;
    say(&lobby.bob, "still here").await?;
    shows_message(&lobby.bob, "bob: still here").await?;
    shows(&lobby.ann, "#channel", "joined").await?;
    shows(&lobby.ann, "#rejoins", "1").await?;
    lobby.chat("after").await?;
    shows(&lobby.ann, "#crashes", "1").await?;
    for (selector, text) in
        [("#crashes", "0"), ("#rejoins", "0"), ("#channel", "joined"), ("#status", "connected")]
    {
        shows(&lobby.bob, selector, text).await?;
    }
    tree_shows_one_restart(lobby.server.ready()).await?;
    lobby.assert_no_complaints();
    Ok(())
}

/// The tree lists the lobby's channels, and something in it has been restarted exactly once.
async fn tree_shows_one_restart(server: &str) -> Outcome {
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let (status, tree) = http_get(server, "/tree").await?;
        assert_eq!(status, 200, "GET /tree: {tree}");
        if tree.contains("room:lobby") && tree.lines().any(has_one_restart) {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "no room:lobby or no line with `restarts 1` in the tree:\n{tree}");
        sleep(TREE_INTERVAL).await;
    }
}

fn has_one_restart(line: &str) -> bool {
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| pair == ["restarts", "1"])
}

#[test]
fn one_restart_is_told_from_ten() {
    assert!(has_one_restart("  lobby  restarts 1, up 3 s") && has_one_restart("(restarts 1)"));
    assert!(!has_one_restart("restarts 10") && !has_one_restart("restarts 0, children 1"));
}

#[tokio::test]
async fn pages_come_back_by_themselves_when_the_server_is_killed_and_started_again() -> Outcome {
    let mut lobby = Lobby::open().await?;
    lobby.chat("before").await?;
    for page in [&lobby.ann, &lobby.bob] {
        page.eval::<bool>("window.neverReloaded = true").await?;
    }
    lobby.server.kill_9()?;
    for page in [&lobby.ann, &lobby.bob] {
        shows(page, "#status", "disconnected").await?;
    }
    lobby.server = start_chat(lobby.port).await?;
    for page in [&lobby.ann, &lobby.bob] {
        shows(page, "#status", "connected").await?;
        shows(page, "#channel", "joined").await?;
        shows(page, "#rejoins", "1").await?;
        assert!(page.eval::<bool>("window.neverReloaded === true").await?, "the page was loaded again");
    }
    lobby.chat("after").await?;
    lobby.assert_only_failed_connects();
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_one_line_on_stderr_and_status_1() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let port = address.port().to_string();
    let started =
        ServerProcess::start(release_binary("chat")?, ["--port", &port], "listening on ", READY_WITHIN).await;
    let Err(ServerError::Exited { status, stderr, .. }) = started else {
        panic!("expected it to end at once, got {started:?}")
    };
    assert_eq!(status.code(), Some(1), "stderr:\n{stderr}");
    assert_eq!(stderr.lines().count(), 1, "stderr:\n{stderr}");
    assert!(stderr.contains(&address.to_string()), "the line does not name {address}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}
