//! A program (`src/bin/application.rs`) that is sent signals.

use std::error::Error;
use std::time::Duration;

use tests::ServerProcess;
use tokio::time::Instant;

use crate::support::{PATIENCE, eventually};

type Outcome = Result<(), Box<dyn Error>>;

async fn start(behaviour: &str, ready: &str) -> Result<ServerProcess, Box<dyn Error>> {
    Ok(ServerProcess::start(env!("CARGO_BIN_EXE_application"), [behaviour], ready, PATIENCE).await?)
}

/// Waits for the end; the status, and how long it took.
async fn end(program: &mut ServerProcess) -> Result<(Option<i32>, Duration), Box<dyn Error>> {
    let before = Instant::now();
    let status = program.wait(PATIENCE).await?;
    Ok((status.code(), before.elapsed()))
}

#[tokio::test]
async fn sigterm_and_sigint_drain_then_stop_in_reverse_order_and_exit_with_0() -> Outcome {
    for interrupt in [false, true] {
        let mut program = start("orderly", "ready").await?;
        if interrupt {
            program.interrupt()?
        } else {
            program.terminate()?
        }
        let (status, _) = end(&mut program).await?;
        assert_eq!(status, Some(0), "{}", program.stderr());
        assert_eq!(program.stdout(), "ready\ndrains\nsecond stops\nfirst stops\nover\n");
        assert_eq!(program.stderr(), "");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_signal_stops_at_once() -> Outcome {
    for (interrupt, expect) in [(false, 143), (true, 130)] {
        let mut program = start("stuck-drain", "ready").await?;
        program.terminate()?;
        eventually("the drain", || program.stdout().contains("drains")).await;
        if interrupt {
            program.interrupt()?
        } else {
            program.terminate()?
        }
        let (status, took) = end(&mut program).await?;
        assert_eq!(status, Some(expect), "{}", program.stderr());
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert!(program.stderr().contains("a second signal"), "{}", program.stderr());
    }
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_a_program_whose_scheduler_is_stuck() -> Outcome {
    let mut program = start("stuck-threads", "blocks").await?;
    eventually("both threads", || program.stdout().matches("blocks").count() == 2).await;
    program.terminate()?;
    // Two of the same that come together are one to the system.
    tokio::time::sleep(Duration::from_millis(200)).await;
    program.interrupt()?;
    let (status, took) = end(&mut program).await?;
    assert_eq!(status, Some(130), "{}", program.stderr());
    assert!(took < Duration::from_secs(5), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_a_program_that_waits_for_a_blocked_thread_after_its_end_in_order() -> Outcome {
    let mut program = start("stuck-job", "blocks").await?;
    program.terminate()?;
    eventually("the end of the application", || program.stdout().contains("over")).await;
    program.terminate()?;
    let (status, _) = end(&mut program).await?;
    assert_eq!(status, Some(143), "{}", program.stderr());
    Ok(())
}

#[tokio::test]
async fn what_does_not_stop_in_time_is_killed_and_the_status_says_so() -> Outcome {
    let mut program = start("overdue", "blocks").await?;
    program.terminate()?;
    let (status, took) = end(&mut program).await?;
    assert_eq!(status, Some(1), "{}", program.stdout());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(program.stderr().contains("did not stop within its deadline"), "{}", program.stderr());
    Ok(())
}

#[tokio::test]
async fn a_root_supervisor_that_gives_up_and_one_that_does_not_start_exit_with_1() -> Outcome {
    for (behaviour, why) in [("gives-up", "its root supervisor gave up: shutdown"), ("no-start", "no luck")] {
        let mut program = ServerProcess::spawn(env!("CARGO_BIN_EXE_application"), [behaviour])?;
        let (status, _) = end(&mut program).await?;
        assert_eq!(status, Some(1), "{behaviour}: {}", program.stdout());
        assert!(program.stderr().contains(why), "{behaviour}: {}", program.stderr());
    }
    Ok(())
}
