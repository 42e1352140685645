//! Heronry, measured.

use std::time::Duration;

use ::heronry::prelude::*;
use ::heronry::supervisor::SupervisorRef;

use super::gate::{DONE, STARTED};
use super::library::{CALL_TIMEOUT, Error, Library};

pub(super) struct Heronry;

pub(super) enum Token {
    Connect(Addr<Token>),
    Pass(u64),
}

pub(super) enum Msg {
    Add,
    Get(ReplyTo<u64>),
}

struct Counter {
    count: u64,
}

#[derive(Clone)]
struct Crasher;

impl Library for Heronry {
    type Node = Addr<Token>;
    type Server = Addr<Msg>;
    type Tree = SupervisorRef;

    async fn node() -> Result<Addr<Token>, Error> {
        Ok(spawn(node))
    }

    fn connect(node: &Addr<Token>, next: Addr<Token>) -> Result<(), Error> {
        Ok(node.send(Token::Connect(next))?)
    }

    fn pass(node: &Addr<Token>, hops: u64) -> Result<(), Error> {
        Ok(node.send(Token::Pass(hops))?)
    }

    async fn server() -> Result<Addr<Msg>, Error> {
        Ok(ServerOptions::new().mailbox_limit(usize::MAX).start::<Counter>(()).await?)
    }

    fn cast(server: &Addr<Msg>) -> Result<(), Error> {
        Ok(server.cast(Msg::Add)?)
    }

    async fn call(server: &Addr<Msg>) -> Result<u64, Error> {
        Ok(server.call(Msg::Get, CALL_TIMEOUT).await?)
    }

    async fn supervise() -> Result<Option<SupervisorRef>, Error> {
        let tree = Supervisor::one_for_one()
            .intensity(u32::MAX, Duration::from_secs(1))
            .child(ChildSpec::server::<Crasher>("crasher", ()));
        Ok(Some(tree.start().await?))
    }
}

async fn node(mut ctx: Context<Token>) {
    STARTED.arrive();
    let mut next = None;
    loop {
        match ctx.receive().await {
            Received::Message(Token::Connect(to)) => next = Some(to),
            Received::Message(Token::Pass(0)) => {
                DONE.arrive();
            }
            Received::Message(Token::Pass(hops)) => {
                if let Some(next) = &next {
                    drop(next.send(Token::Pass(hops - 1)));
                }
            }
            Received::Info(_) => {}
        }
    }
}

impl Server for Counter {
    type Args = ();
    type Msg = Msg;

    async fn init((): (), _: &mut Context<Msg>) -> Init<Self> {
        Ok(Self { count: 0 })
    }

    async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
        match msg {
            Msg::Add => self.count += 1,
            Msg::Get(reply_to) => reply_to.send(self.count),
        }
        Next::Continue
    }
}

impl Server for Crasher {
    type Args = ();
    type Msg = ();

    async fn init((): (), ctx: &mut Context<()>) -> Init<Self> {
        if DONE.arrive() {
            ctx.addr().send(())?;
        }
        Ok(Self)
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next {
        panic!("crash")
    }
}
