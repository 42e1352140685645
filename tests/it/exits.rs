//! What a process does with an exit signal that it sends itself.

use heronry::prelude::*;
use heronry::process;

use crate::support::within;

#[tokio::test]
async fn an_exit_of_oneself_counts_even_if_the_body_returns_at_once() {
    let ended = spawn(|ctx: Context<()>| async move {
        process::exit(ctx.pid(), ExitReason::custom("enough"));
    });
    assert_eq!(within("its end", ended.wait()).await, ExitReason::custom("enough"));
}

#[tokio::test]
async fn a_process_that_ended_itself_receives_no_more() {
    let ended = spawn(|mut ctx: Context<u8>| async move {
        process::exit(ctx.pid(), ExitReason::custom("enough"));
        if let Received::Message(n) = ctx.receive().await {
            panic!("it received {n}");
        }
    });
    ended.send(1).expect("it has not run yet");
    assert_eq!(within("its end", ended.wait()).await, ExitReason::custom("enough"));
}

#[test]
fn a_process_told_to_exit_keeps_that_reason_when_its_runtime_goes() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let idle = runtime.block_on(async { spawn(|_: Context<()>| std::future::pending::<()>()) });
    process::exit(idle.pid(), ExitReason::Shutdown);
    drop(runtime);
    assert_eq!(idle.exit_reason(), Some(ExitReason::Shutdown));
}
