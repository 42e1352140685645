//! Nodes that are told to end: their goodbye is heard, each time, and at once.

use std::time::Duration;

use tokio::time::Instant;

use super::super::Outcome;
use super::super::measured::measured;
use super::observer::Observer;
use super::{HEALED_WITHIN, Nodes, READY_WITHIN, node};

/// How often.
const GOODBYES: usize = 20;

/// From the signal until another node knows, and what is promised.
const LEFT_WITHIN: Duration = Duration::from_millis(200);

/// A goodbye that was lost would be a silence of 5 s, of which a heartbeat may have been 1 s ago.
const NOT_BY_SILENCE: Duration = Duration::from_secs(3);

async fn every_goodbye_is_heard(mut nodes: Nodes) -> Outcome {
    let mut observer = Observer::start(&nodes.engine).await?;
    let mut watcher = nodes.member(0, "a").await?;
    let (mut left, mut gone) = (Vec::new(), Vec::new());
    for n in 0..GOODBYES {
        observer.sees_up("c", READY_WITHIN).await?;
        let user = format!("c{n}");
        let mut member = nodes.member(2, &user).await?;
        watcher.sees(&["a", &user], HEALED_WITHIN).await?;

        let signal = Instant::now();
        nodes.nodes[2].terminate()?;
        let presence = async {
            watcher.sees(&["a"], NOT_BY_SILENCE).await?;
            Outcome::Ok(signal.elapsed())
        };
        let node_down = observer.sees_down("c", NOT_BY_SILENCE);
        // A client that does not answer the close would keep its node for 2 s more.
        let (presence, node_down, ()) = tokio::join!(presence, node_down, member.client.read_to_end());
        gone.push(presence?);
        left.push(node_down? - signal);
        assert!(nodes.nodes[2].wait(NOT_BY_SILENCE).await?.success());
        nodes.nodes[2] = node(&nodes.engine, "c").await?;
    }
    for (what, times) in [("node", &mut left), ("presences", &mut gone)] {
        times.sort();
        let (median, longest) = (times[GOODBYES / 2], times[GOODBYES - 1]);
        measured("SIGTERM", nodes.over, &format!("{what} gone, median of {GOODBYES}"), median);
        measured("SIGTERM", nodes.over, &format!("{what} gone, longest of {GOODBYES}"), longest);
        assert!(median <= LEFT_WITHIN, "{what}: {times:?}");
    }
    observer.node.stop().await;
    Ok(())
}

#[tokio::test]
async fn over_nats_every_goodbye_is_heard() -> Outcome {
    every_goodbye_is_heard(Nodes::nats().await?).await
}

#[tokio::test]
async fn over_redis_every_goodbye_is_heard() -> Outcome {
    every_goodbye_is_heard(Nodes::redis().await?).await
}
