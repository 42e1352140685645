//! A storm of panics, and a crowd of children that ends at once: the release program measures, and fails by itself if
//! Heronry does not stand it.

use std::time::Duration;

use serde_json::Value;
use tests::{ServerProcess, release_binary};

use super::Outcome;

const DONE_WITHIN: Duration = Duration::from_secs(180);
const PANICS: u64 = 1_000_000;
/// 1.2 KB each.
const CHILDREN: u64 = 300_000;
/// Bystanders answer in microseconds; with both cores of a small machine taken by others, in a scheduler's time slice.
const ANSWER_P99_US_MAX: u64 = 50_000;

async fn trial(name: &str, times: u64) -> Outcome<Value> {
    let mut trial = ServerProcess::spawn(release_binary("processes")?, [name, &times.to_string()])?;
    let status = trial.wait(DONE_WITHIN).await?;
    let (stdout, stderr) = (trial.stdout(), trial.stderr());
    assert!(status.success(), "processes {name} ended with {status}: {stdout}{stderr}");
    Ok(serde_json::from_str(&stdout)?)
}

fn assert_undisturbed(bystanders: &Value) {
    let p99 = bystanders["answer_us"]["p99"].as_u64().expect("a number");
    assert!(p99 <= ANSWER_P99_US_MAX, "{bystanders}");
}

#[tokio::test]
async fn a_million_panics_cost_no_memory_disturb_nobody_and_are_all_accounted_for() -> Outcome {
    let storm = trial("panics", PANICS).await?;
    assert_undisturbed(&storm["bystanders"]);
    for event in ["heronry.process.crashed", "heronry.supervisor.child_restarted"] {
        let of = |what: &str| storm["log"][event][what].as_u64().expect("a number");
        assert_eq!(of("lines") + of("suppressed"), PANICS, "{storm}");
        assert!(of("lines") < 10_000, "{storm}");
    }
    Ok(())
}

#[tokio::test]
async fn a_crowd_ends_through_its_supervisor_and_gives_its_memory_back() -> Outcome {
    let crowds = trial("crowd", CHILDREN).await?;
    for end in ["stopped", "killed"] {
        assert_undisturbed(&crowds[end]["bystanders_at_the_end"]);
    }
    Ok(())
}
