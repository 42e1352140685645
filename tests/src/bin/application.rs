//! An application to send signals to. Its one argument says how it behaves.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use heronry::application::Application;
use heronry::prelude::*;
use heronry::ractor::{Pool, PoolRef};

/// Longer than anybody waits.
const EVER: Duration = Duration::from_secs(3_600);

fn say(what: &str) {
    writeln!(io::stdout(), "{what}").expect("somebody reads stdout");
}

/// Says when it stops.
struct Child(&'static str);

impl Server for Child {
    type Args = &'static str;
    type Msg = ();

    async fn init(name: &'static str, ctx: &mut Context<()>) -> Init<Self> {
        ctx.trap_exit(true);
        Ok(Self(name))
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        Next::Continue
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Context<()>) {
        say(&format!("{} stops", self.0));
    }
}

/// Says that all before it has started.
fn ready() -> ChildSpec {
    ChildSpec::task("ready", || async { say("ready") })
}

fn child(name: &'static str) -> ChildSpec {
    ChildSpec::server::<Child>(name, name)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let application = Application::builder().label("tested").child(child("first")).child(child("second"));
    let application = match std::env::args().nth(1).as_deref() {
        Some("orderly") => application.on_drain("say", || async { say("drains") }),
        Some("stuck-drain") => application.drain_deadline(EVER).on_drain("stuck", || async {
            say("drains");
            tokio::time::sleep(EVER).await;
        }),
        // Every thread of the scheduler blocks, the one that would see the signal's message included.
        Some("stuck-threads") => application.child(ChildSpec::task("blocker", || async {
            for _ in 0..16 {
                tokio::spawn(async { block() });
            }
        })),
        Some("stuck-job") => application
            .child(
                ChildSpec::pool("jobs", || Pool::new().workers(1))
                    .named("jobs")
                    .shutdown(Shutdown::BrutalKill),
            )
            .child(ChildSpec::task("job", || async {
                let pool = PoolRef::whereis("jobs").expect("the pool is a child");
                drop(pool.run(block).await);
            })),
        Some("overdue") => application.stop_deadline(Duration::from_millis(100)).child(
            ChildSpec::process("stubborn", |ctx: Context<()>| async move {
                ctx.trap_exit(true);
                block();
            })
            .shutdown(Shutdown::Infinity),
        ),
        Some("gives-up") => application
            .intensity(2, EVER)
            .child(ChildSpec::process("crasher", |_: Context<()>| async { crash() })),
        Some("no-start") => application.child(ChildSpec::new("stillborn", |_| async {
            Err(StartError::Init(ExitReason::custom("no luck")))
        })),
        other => {
            say(&format!("no behaviour {other:?}"));
            return ExitCode::from(99);
        }
    };
    let status = application.child(ready()).run().await;
    say("over");
    status
}

fn crash() {
    panic!("the crasher crashes");
}

fn block() {
    say("blocks");
    loop {
        std::thread::park();
    }
}
