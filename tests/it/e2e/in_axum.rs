//! The example within axum: an order that is sent by HTTP shows on another page, which only listens.

use std::time::Duration;

use tests::{Browser, Key, ServerProcess, free_port, release_binary};

use super::{Outcome, SHOWN_WITHIN};

/// How long the server may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_order_by_http_shows_on_every_page() -> Outcome {
    let port = free_port()?.to_string();
    let server =
        ServerProcess::start(release_binary("in_axum")?, ["--port", &port], "listening on ", READY_WITHIN)
            .await?;
    let browser = Browser::launch().await?;
    let mut pages = Vec::new();
    for _ in 0..2 {
        let page = browser.context().await?.open(server.ready()).await?;
        page.wait_for("document.getElementById('status').textContent === 'connected'", SHOWN_WITHIN).await?;
        pages.push(page);
    }
    pages[0].type_into("#item", "green tea").await?;
    pages[0].press(Key::Enter).await?;
    for page in &pages {
        page.wait_for("document.querySelector('#orders li')?.textContent === 'green tea'", SHOWN_WITHIN)
            .await?;
        assert_eq!(page.errors(), [], "a page complained");
    }
    Ok(())
}
