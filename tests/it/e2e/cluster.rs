//! The example of a cluster as its users see it: three nodes, one of which is killed, stopped or cut off, and comes back.

use std::time::Duration;

use tests::{Browser, Page, ServerProcess, release_binary};
use tokio::time::Instant;

use super::{Failure, Outcome, SHOWN_WITHIN};

/// How long the nodes and their engine may take to start.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Within which the guests of a node that is dead leave elsewhere: its silence is 5 s, a heartbeat ago at most.
const LEFT_WITHIN: Duration = Duration::from_secs(6);

/// How long it may take to end in order.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// Starts the example, opens its page, and ends the example in order whatever comes of `drill`: its engine would outlive it
/// otherwise.
async fn with_page(drill: impl AsyncFnOnce(&Page) -> Outcome) -> Outcome {
    let binary = release_binary("cluster")?;
    let mut server = ServerProcess::start(binary, ["--port", "0"], "listening on ", READY_WITHIN).await?;
    let outcome = async {
        let browser = Browser::launch().await?;
        let page = browser.context().await?.open(server.ready()).await?;
        drill(&page).await
    };
    let outcome = outcome.await;
    server.terminate()?;
    let status = server.wait(ENDED_WITHIN).await?;
    outcome.map_err(|Failure(error)| Failure(format!("{error}\nstderr:\n{}", server.stderr())))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("{status}\n{}", server.stderr()))) }
}

/// A condition: the box of `node` lists one guest on each of `nodes`, and no other.
fn lists(node: &str, nodes: &[&str]) -> String {
    let listed = format!("[...document.querySelectorAll('#program-{node} .guests li')]");
    format!("{listed}.map(item => item.dataset.node).join() === '{}'", nodes.join(","))
}

/// Waits until each of `nodes` lists one guest on each of `guests`.
async fn all_list(page: &Page, nodes: &[&str], guests: &[&str], within: Duration) -> Outcome {
    let end = Instant::now() + within;
    for node in nodes {
        page.wait_for(&lists(node, guests), end.saturating_duration_since(Instant::now())).await?;
    }
    Ok(())
}

async fn order(page: &Page, node: &str, order: &str) -> Outcome {
    Ok(page.click(&format!("#program-{node} [data-order={order}]")).await?)
}

async fn is(page: &Page, node: &str, state: &str) -> Outcome {
    let condition = format!("document.getElementById('program-{node}').dataset.state === '{state}'");
    Ok(page.wait_for(&condition, SHOWN_WITHIN).await?)
}

const ALL: [&str; 3] = ["a", "b", "c"];

#[tokio::test]
async fn guests_of_a_killed_node_leave_elsewhere_and_come_back_with_it() -> Outcome {
    with_page(async |page| {
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await?;
        order(page, "b", "kill").await?;
        all_list(page, &["a", "c"], &["a", "c"], LEFT_WITHIN).await?;
        is(page, "b", "dead").await?;
        order(page, "b", "start").await?;
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await?;

        page.click("#program-b .hello").await?;
        for node in ALL {
            let heard = format!("document.querySelectorAll('#program-{node} .heard li').length === 1");
            page.wait_for(&heard, SHOWN_WITHIN).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_stands_still_is_lost_and_comes_back() -> Outcome {
    with_page(async |page| {
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await?;
        order(page, "c", "stop").await?;
        all_list(page, &["a", "b"], &["a", "b"], LEFT_WITHIN).await?;
        order(page, "c", "continue").await?;
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await
    })
    .await
}

#[tokio::test]
async fn a_node_that_is_cut_off_is_lost_to_others_and_loses_nobody() -> Outcome {
    with_page(async |page| {
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await?;
        order(page, "a", "cut").await?;
        all_list(page, &["b", "c"], &["b", "c"], LEFT_WITHIN).await?;
        page.wait_for("document.querySelector('#program-a .link').textContent === 'down'", SHOWN_WITHIN)
            .await?;
        // It does not hear, so it knows nothing of others and removes nobody.
        all_list(page, &["a"], &ALL, Duration::ZERO).await?;
        order(page, "a", "heal").await?;
        all_list(page, &ALL, &ALL, SHOWN_WITHIN).await?;

        order(page, "engine", "kill").await?;
        for node in ALL {
            let down = format!("document.querySelector('#program-{node} .link').textContent === 'down'");
            page.wait_for(&down, SHOWN_WITHIN).await?;
        }
        all_list(page, &ALL, &ALL, Duration::ZERO).await?;
        order(page, "engine", "start").await?;
        for node in ALL {
            let up = format!("document.querySelector('#program-{node} .link').textContent === 'up'");
            page.wait_for(&up, SHOWN_WITHIN).await?;
        }
        all_list(page, &ALL, &ALL, Duration::ZERO).await
    })
    .await
}
