//! Fixed pieces of work cost the instructions that are on record: counted by callgrind, they do not wobble with the machine as
//! times do, so that a small step back is seen when it is made.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;
use tests::release_binary;
use tokio::process::Command;

use super::{Failure, Outcome};

/// Per piece of work, what one more of it costs.
const ON_RECORD: &str = include_str!("../../../bench/results/instructions.json");
/// How far a count may be from the one on record, in percent: other versions of the C library differ a little.
const SLACK_PERCENT: u64 = 10;

async fn counted(name: &str, times: u64) -> Outcome<u64> {
    let program = release_binary("work")?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &times.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "valgrind on {name}: {said}");
    let total = said.lines().find_map(|line| line.split_once("Collected :").map(|(_, total)| total.trim()));
    Ok(total.ok_or_else(|| Failure(format!("callgrind gave no total for {name}: {said}")))?.parse()?)
}

async fn names() -> Outcome<Vec<(String, u64)>> {
    let listed = Command::new(release_binary("work")?).output().await?;
    let listed = String::from_utf8(listed.stdout)?;
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, times)| Ok((name.to_owned(), times.parse()?))).collect()
}

#[tokio::test]
async fn work_costs_the_instructions_on_record() -> Outcome {
    let on_record: BTreeMap<String, u64> = serde_json::from_str(ON_RECORD)?;
    let mut now = BTreeMap::new();
    for (name, times) in names().await? {
        // What has to be there first cancels out.
        let (once, twice) = (counted(&name, times).await?, counted(&name, 2 * times).await?);
        now.insert(name, (twice - once) / times);
    }
    let differs = |(name, count): (&String, &u64)| match on_record.get(name) {
        Some(before) if before.abs_diff(*count) * 100 <= before * SLACK_PERCENT => None,
        before => Some(format!("{name}: {count}, on record {before:?}")),
    };
    let differing: Vec<_> = now.iter().filter_map(differs).collect();
    let renewed = serde_json::to_string_pretty(&Value::from_iter(now.clone()))?;
    assert!(
        differing.is_empty() && now.len() == on_record.len(),
        "counts differ by more than {SLACK_PERCENT} % from those on record: {differing:#?}\n\
         if that is meant, bench/results/instructions.json becomes\n{renewed}"
    );
    Ok(())
}
