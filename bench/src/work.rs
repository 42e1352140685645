//! Pieces of work that are the same each time, on one thread: their instructions are counted and compared with those
//! on record, and `cargo bench` measures their time.

use std::hint::black_box;
use std::time::Duration;

use heronry::prelude::*;
use heronry::pubsub::{Mailboxes, PubSub};
use heronry::registry::Registry;
use heronry::timer;
use heronry_channels::{Broadcast, Frame, Payload, Reply, Serializer, Tokens, V2};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use crate::Error;

/// Everything that is counted.
pub const ALL: [Work; 10] = [
    Work { name: "parse_frame", times: 2_000, run: parse_frame },
    Work { name: "encode_reply", times: 2_000, run: encode_reply },
    Work { name: "encode_broadcast", times: 2_000, run: encode_broadcast },
    Work { name: "dispatch_to_1000", times: 20, run: dispatch_to_1000 },
    Work { name: "spawn_and_end", times: 2_000, run: spawn_and_end },
    Work { name: "send_and_receive", times: 5_000, run: send_and_receive },
    Work { name: "call", times: 2_000, run: call },
    Work { name: "arm_and_cancel_timer", times: 2_000, run: arm_and_cancel_timer },
    Work { name: "registry_lookup", times: 5_000, run: registry_lookup },
    Work { name: "verify_token", times: 500, run: verify_token },
];

/// What a shout of 100 bytes looks like on its way to the server: 132 bytes.
const SHOUT: &str = concat!(
    r#"["1","17","room:lobby","shout",{"p":""#,
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    r#""}]"#
);
const SUBSCRIBERS: usize = 1_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const SECRET: &str = "a secret of at least as many bytes as Phoenix asks for, which is sixty-four";

/// A piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// What it is called on the command line and on record.
    pub name: &'static str,
    /// How often it is done to be counted.
    pub times: u64,
    /// Does it so many times; what has to be there first is a part of it, and cancels out in a difference of two runs.
    pub run: fn(u64) -> Result<(), Error>,
}

/// The work of that name.
pub fn by_name(name: &str) -> Option<Work> {
    ALL.into_iter().find(|work| work.name == name)
}

fn parse_frame(times: u64) -> Result<(), Error> {
    for _ in 0..times {
        black_box(V2.decode(black_box(Frame::Text(SHOUT.into())))?);
    }
    Ok(())
}

fn encode_reply(times: u64) -> Result<(), Error> {
    let (join_ref, reference) = ("1".into(), "17".into());
    let reply = Reply::ok(Payload::json_text(r#"{"count":7}"#)?);
    for _ in 0..times {
        black_box(V2.encode_reply(Some(&join_ref), Some(&reference), "room:lobby", black_box(&reply))?);
    }
    Ok(())
}

fn encode_broadcast(times: u64) -> Result<(), Error> {
    let payload = Payload::json_text(r#"{"text":"a hundred bytes are usual, this has some less"}"#)?;
    let broadcast = Broadcast { topic: "room:lobby".into(), event: "shout".into(), payload };
    for _ in 0..times {
        black_box(V2.encode_broadcast(black_box(&broadcast))?);
    }
    Ok(())
}

fn dispatch_to_1000(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        let news = PubSub::new(Mailboxes::<u64>::new());
        for _ in 0..SUBSCRIBERS {
            let news = news.clone();
            spawn(move |mut ctx: Context<u64>| async move {
                let _subscription = news.subscribe_mailbox(&ctx, "weather", |message| message);
                while let Received::Message(message) = ctx.receive().await {
                    black_box(message);
                }
            });
        }
        while news.subscriber_count("weather") < SUBSCRIBERS {
            yield_now().await;
        }
        for at in 0..times {
            news.broadcast("weather", at)?;
            // All of them are woken and run before this is again.
            yield_now().await;
        }
        Ok(())
    })
}

fn spawn_and_end(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        for _ in 0..times {
            black_box(spawn(|_: Context<()>| async {}).wait().await);
        }
        Ok(())
    })
}

fn send_and_receive(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        let reader = spawn(|mut ctx: Context<u64>| async move {
            while let Received::Message(message) = ctx.receive().await {
                black_box(message);
            }
        });
        for at in 0..times {
            reader.send(at)?;
            yield_now().await;
        }
        Ok(())
    })
}

struct Echo;

impl Server for Echo {
    type Args = ();
    type Msg = ReplyTo<u64>;

    async fn init((): (), _: &mut Context<ReplyTo<u64>>) -> Init<Self> {
        Ok(Self)
    }

    async fn handle(&mut self, reply_to: ReplyTo<u64>, _: &mut Context<ReplyTo<u64>>) -> Next {
        reply_to.send(1);
        Next::Continue
    }
}

fn call(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        let echo = Echo::start(()).await?;
        for _ in 0..times {
            black_box(echo.call(|reply_to| reply_to, CALL_TIMEOUT).await?);
        }
        Ok(())
    })
}

fn arm_and_cancel_timer(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        let reader = spawn(|mut ctx: Context<()>| async move {
            ctx.receive().await;
        });
        for _ in 0..times {
            black_box(timer::send_after(&reader, CALL_TIMEOUT, ()).cancel());
        }
        Ok(())
    })
}

fn registry_lookup(times: u64) -> Result<(), Error> {
    on_one_thread(async move {
        let registry = Registry::<u64, (), ()>::unique();
        let of_process = registry.clone();
        spawn(move |mut ctx: Context<()>| async move {
            if of_process.register(&ctx, 7, ()).is_ok() {
                ctx.receive().await;
            }
        });
        while registry.count() == 0 {
            yield_now().await;
        }
        for _ in 0..times {
            black_box(registry.whereis(&black_box(7)));
        }
        Ok(())
    })
}

fn verify_token(times: u64) -> Result<(), Error> {
    let tokens = Tokens::new(SECRET)?;
    let token = tokens.sign("user socket", 7)?;
    for _ in 0..times {
        black_box(tokens.verify("user socket", black_box(token.as_str()))?);
    }
    Ok(())
}

/// Runs `work` on a runtime without other threads: what is counted has nobody to wait for.
fn on_one_thread(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}
