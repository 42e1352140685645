//! Bare tokio, measured: a task and an unbounded channel for each process; no names, links, panics caught or the like.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::gate::{DONE, STARTED};
use super::library::{CALL_TIMEOUT, Error, Library};

pub(super) struct TokioMpsc;

pub(super) enum Token {
    Connect(UnboundedSender<Token>),
    Pass(u64),
}

pub(super) enum Msg {
    Add,
    Get(oneshot::Sender<u64>),
}

impl Library for TokioMpsc {
    type Node = UnboundedSender<Token>;
    type Server = UnboundedSender<Msg>;
    type Tree = ();

    async fn node() -> Result<UnboundedSender<Token>, Error> {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(node(receiver));
        Ok(sender)
    }

    fn connect(node: &UnboundedSender<Token>, next: UnboundedSender<Token>) -> Result<(), Error> {
        Ok(node.send(Token::Connect(next))?)
    }

    fn pass(node: &UnboundedSender<Token>, hops: u64) -> Result<(), Error> {
        Ok(node.send(Token::Pass(hops))?)
    }

    async fn server() -> Result<UnboundedSender<Msg>, Error> {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(server(receiver));
        Ok(sender)
    }

    fn cast(server: &UnboundedSender<Msg>) -> Result<(), Error> {
        Ok(server.send(Msg::Add)?)
    }

    async fn call(server: &UnboundedSender<Msg>) -> Result<u64, Error> {
        let (reply_to, reply) = oneshot::channel();
        server.send(Msg::Get(reply_to))?;
        Ok(timeout(CALL_TIMEOUT, reply).await??)
    }

    async fn supervise() -> Result<Option<()>, Error> {
        Ok(None)
    }
}

async fn node(mut tokens: UnboundedReceiver<Token>) {
    STARTED.arrive();
    let mut next = None;
    while let Some(token) = tokens.recv().await {
        match token {
            Token::Connect(to) => next = Some(to),
            Token::Pass(0) => {
                DONE.arrive();
            }
            Token::Pass(hops) => {
                if let Some(next) = &next {
                    drop(next.send(Token::Pass(hops - 1)));
                }
            }
        }
    }
}

async fn server(mut msgs: UnboundedReceiver<Msg>) {
    let mut count = 0;
    while let Some(msg) = msgs.recv().await {
        match msg {
            Msg::Add => count += 1,
            // A caller that no longer waits is none of its concern.
            Msg::Get(reply_to) => drop(reply_to.send(count)),
        }
    }
}
