//! What a storm of panics prints where nobody reads the log: little, and how much is missing.

use std::process::Command;

use heronry::{Context, ExitReason};

use crate::support::within;

const STORM: &str = "HERONRY_TEST_STORM";
const PANICS: usize = 500;

/// Run by [`a_storm_of_panics_is_counted`] in a process of its own, where it makes the storm.
#[tokio::test(start_paused = true)]
async fn a_storm() {
    if std::env::var_os(STORM).is_none() {
        return;
    }
    for _ in 0..PANICS {
        let body = async |_: Context<()>| -> ExitReason { panic!("one of many") };
        let process = heronry::process::spawn(body);
        assert!(matches!(within("its end", process.wait()).await, ExitReason::Panic(_)));
    }
    // Past the window, after which what was kept back is said.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

#[test]
fn a_storm_of_panics_is_counted() {
    let this = std::env::current_exe().expect("this binary has a path");
    let run = Command::new(this)
        .args(["--exact", "process::panics::a_storm", "--nocapture"])
        .env(STORM, "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && out.contains("1 passed"), "{out}{err}");
    assert_eq!(err.matches("one of many").count(), 20, "{err}");
    assert!(err.contains("480 more panics in processes not shown"), "{err}");
    assert!(err.lines().count() < 20 * 4, "{err}");
}
