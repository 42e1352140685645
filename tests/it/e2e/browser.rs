//! The browser driver itself, on a page that a few lines of TCP serve.

use std::ffi::OsStr;
use std::time::Duration;

use tests::{Browser, BrowserError, ErrorKind, INSTALL_HINT, Key, find_browser};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Outcome, SHOWN_WITHIN};

const PAGE: &str = r##"<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>tiny</title>
<form id="form"><input id="body"><button id="send">send</button></form><ul id="sent"></ul>
<div style="position: relative"><button id="under">under</button><div id="lid"
 style="position: absolute; inset: 0"></div></div>
<script>
  window.inputs = 0;
  document.querySelector("#body").addEventListener("input", () => window.inputs++);
  document.querySelector("#form").addEventListener("submit", event => {
    event.preventDefault();
    const item = document.createElement("li");
    item.textContent = document.querySelector("#body").value;
    document.querySelector("#sent").append(item);
    document.querySelector("#body").value = "";
  });
</script>"##;

/// Serves [`PAGE`] at `/` and 404 elsewhere, until the test's runtime ends; gives its URL.
async fn tiny_site() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (status, body) =
        if head.starts_with(b"GET / ") { ("200 OK", PAGE) } else { ("404 Not Found", "none") };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn contexts_are_devices_of_their_own_and_pages_of_one_share_it() -> Outcome {
    let url = tiny_site().await?;
    let browser = Browser::launch().await?;
    let (phone, laptop) = (browser.context().await?, browser.context().await?);
    let (first, second, other) = (phone.open(&url).await?, phone.open(&url).await?, laptop.open(&url).await?);
    first.eval::<()>("localStorage.setItem('who', 'ann')").await?;
    assert_eq!(second.eval::<Option<String>>("localStorage.getItem('who')").await?.as_deref(), Some("ann"));
    assert_eq!(other.eval::<Option<String>>("localStorage.getItem('who')").await?, None);
    Ok(())
}

#[tokio::test]
async fn values_promises_and_exceptions_come_back() -> Outcome {
    let browser = Browser::launch().await?;
    let page = browser.context().await?.open("data:text/html,<p>hello").await?;
    assert_eq!(page.eval::<Vec<u32>>("Promise.resolve([1, 2])").await?, [1, 2]);
    match page.eval::<()>("(() => { throw new TypeError('boom') })()").await {
        Err(BrowserError::Javascript { text }) => assert!(text.starts_with("TypeError: boom"), "{text}"),
        other => panic!("expected the exception, got {other:?}"),
    }
    let rejected = page.eval::<()>("Promise.reject(new Error('late'))").await;
    assert!(matches!(rejected, Err(BrowserError::Javascript { .. })), "{rejected:?}");
    let another_type = page.eval::<u32>("'text'").await;
    assert!(matches!(another_type, Err(BrowserError::Value { .. })), "{another_type:?}");
    Ok(())
}

#[tokio::test]
async fn complaints_are_collected_and_outlive_a_reload() -> Outcome {
    let url = tiny_site().await?;
    let browser = Browser::launch().await?;
    let page = browser.context().await?.open(&url).await?;
    assert_eq!(page.errors(), []);
    page.eval::<()>("console.log('fine'); console.error('not', { so: 1 }.so)").await?;
    page.eval::<()>("void setTimeout(() => { throw new Error('uncaught') })").await?;
    page.eval::<u16>("fetch('/missing').then(answer => answer.status)").await?;
    page.eval::<bool>("window.marker = true").await?;
    page.reload().await?;
    assert!(page.eval::<bool>("window.marker === undefined").await?);
    let errors = page.errors();
    let has = |kind, text: &str, url: &str| {
        errors.iter().any(|error| error.kind == kind && error.text.contains(text) && error.url.contains(url))
    };
    assert!(has(ErrorKind::Console, "not 1", ""), "{errors:?}");
    assert!(has(ErrorKind::Exception, "Error: uncaught", ""), "{errors:?}");
    assert!(has(ErrorKind::Browser, "404", "/missing"), "{errors:?}");
    assert_eq!(errors.len(), 3, "{errors:?}");
    Ok(())
}

#[tokio::test]
async fn input_is_what_a_user_would_cause() -> Outcome {
    let url = tiny_site().await?;
    let browser = Browser::launch().await?;
    let (front, back) = (browser.context().await?, browser.context().await?);
    for page in [front.open(&url).await?, back.open(&url).await?] {
        page.type_into("#body", "clicked").await?;
        page.click("#send").await?;
        page.type_into("#body", "\"entered\" – ü").await?;
        page.press(Key::Enter).await?;
        page.wait_for("document.querySelectorAll('#sent li').length === 2", SHOWN_WITHIN).await?;
        let sent: Vec<String> =
            page.eval("[...document.querySelectorAll('#sent li')].map(li => li.textContent)").await?;
        assert_eq!(sent, ["clicked", "\"entered\" – ü"]);
        assert_eq!(page.eval::<u32>("window.inputs").await?, 2);
        match page.click("#under").await {
            Err(BrowserError::Unreachable { covered_by, .. }) => {
                assert!(covered_by.contains("lid"), "{covered_by}")
            }
            other => panic!("expected the click to be refused, got {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_condition_that_stays_false_says_what_the_page_showed() -> Outcome {
    let browser = Browser::launch().await?;
    let page = browser
        .context()
        .await?
        .open("data:text/html,<p>please wait<script>console.error('oh no')</script>")
        .await?;
    let error =
        page.wait_for("document.querySelector('#done').id", Duration::from_millis(200)).await.unwrap_err();
    let text = error.to_string();
    for part in
        ["within 200ms: document.querySelector('#done').id", "TypeError", "please wait", "Console: oh no"]
    {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    let unparsed = page.wait_for("1 +", SHOWN_WITHIN).await;
    assert!(matches!(unparsed, Err(BrowserError::Javascript { .. })), "{unparsed:?}");
    Ok(())
}

#[tokio::test]
async fn offline_pages_reach_nothing_until_they_are_back() -> Outcome {
    let url = tiny_site().await?;
    let browser = Browser::launch().await?;
    let page = browser.context().await?.open(&url).await?;
    let reach = "fetch('/').then(answer => answer.ok, () => false)";
    assert!(page.eval::<bool>(reach).await?);
    page.set_offline(true).await?;
    assert!(!page.eval::<bool>(reach).await?);
    page.set_offline(false).await?;
    assert!(page.eval::<bool>(reach).await?);
    Ok(())
}

#[tokio::test]
async fn a_screenshot_is_a_png() -> Outcome {
    let browser = Browser::launch().await?;
    let page = browser.context().await?.open("data:text/html,<p>hello").await?;
    let path = std::env::temp_dir().join(format!("heronry-screenshot-{}.png", std::process::id()));
    page.screenshot(&path).await?;
    let picture = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    assert!(
        picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.ends_with(b"IEND\xaeB`\x82"),
        "{} bytes",
        picture.len()
    );
    Ok(())
}

#[tokio::test]
async fn a_closed_address_and_a_vanished_browser_are_errors() -> Outcome {
    let browser = Browser::launch().await?;
    let context = browser.context().await?;
    let closed = format!("http://127.0.0.1:{}/", tests::free_port()?);
    let refused = context.open(&closed).await;
    assert!(matches!(refused, Err(BrowserError::Navigation { .. })), "{refused:?}");
    let page = context.open("data:text/html,<p>hello").await?;
    let waiting = tokio::spawn(async move {
        let answer = page.eval::<()>("new Promise(() => {})").await;
        (page, answer)
    });
    let pid = browser.pid();
    // Lets the evaluation be sent before the browser goes: both ways have to end in an error.
    tokio::task::yield_now().await;
    drop(browser);
    let (page, answer) = waiting.await?;
    assert!(matches!(answer, Err(BrowserError::Gone { .. })), "{answer:?}");
    let later = page.eval::<u32>("1").await;
    assert!(matches!(later, Err(BrowserError::Gone { .. })), "{later:?}");
    assert!(!std::fs::exists(format!("/proc/{pid}"))?, "browser {pid} still runs");
    Ok(())
}

#[test]
fn a_missing_browser_says_how_to_get_one() {
    let check = |chosen: Option<&str>, path: Option<&str>, expect: &str| {
        let error = find_browser(chosen.map(OsStr::new), path.map(OsStr::new)).unwrap_err().to_string();
        assert_eq!(error, expect);
    };
    check(None, Some("/nonexistent:/proc"), INSTALL_HINT);
    check(None, None, "no browser found: apt-get install chromium, or set HERONRY_CHROMIUM");
    let path = std::env::var("PATH").ok();
    check(
        Some("/nonexistent"),
        path.as_deref(),
        "HERONRY_CHROMIUM is /nonexistent, which is not a file; \
         no browser found: apt-get install chromium, or set HERONRY_CHROMIUM",
    );
}
