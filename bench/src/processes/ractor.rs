//! ractor, measured.

use ::ractor::rpc::CallResult;
use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use super::gate::{DONE, STARTED};
use super::library::{CALL_TIMEOUT, Error, Library};

pub(super) struct Ractor;

pub(super) enum Token {
    Connect(ActorRef<Token>),
    Pass(u64),
}

pub(super) enum Msg {
    Add,
    Get(RpcReplyPort<u64>),
}

struct Node;
struct Counter;
struct Keeper;
struct Crasher;

impl Library for Ractor {
    type Node = ActorRef<Token>;
    type Server = ActorRef<Msg>;
    type Tree = ActorRef<()>;

    async fn node() -> Result<ActorRef<Token>, Error> {
        Ok(Actor::spawn(None, Node, ()).await?.0)
    }

    fn connect(node: &ActorRef<Token>, next: ActorRef<Token>) -> Result<(), Error> {
        sent(node.send_message(Token::Connect(next)))
    }

    fn pass(node: &ActorRef<Token>, hops: u64) -> Result<(), Error> {
        sent(node.send_message(Token::Pass(hops)))
    }

    async fn server() -> Result<ActorRef<Msg>, Error> {
        Ok(Actor::spawn(None, Counter, ()).await?.0)
    }

    fn cast(server: &ActorRef<Msg>) -> Result<(), Error> {
        sent(server.cast(Msg::Add))
    }

    async fn call(server: &ActorRef<Msg>) -> Result<u64, Error> {
        match server.call(Msg::Get, Some(CALL_TIMEOUT)).await {
            Ok(CallResult::Success(count)) => Ok(count),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => Err("no reply".into()),
        }
    }

    async fn supervise() -> Result<Option<ActorRef<()>>, Error> {
        Ok(Some(Actor::spawn(None, Keeper, ()).await?.0))
    }
}

fn sent<T>(outcome: Result<(), ::ractor::MessagingErr<T>>) -> Result<(), Error> {
    outcome.map_err(|_| "the actor has ended".into())
}

impl Actor for Node {
    type Msg = Token;
    type State = Option<ActorRef<Token>>;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Token>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        STARTED.arrive();
        Ok(None)
    }

    async fn handle(
        &self,
        _: ActorRef<Token>,
        token: Token,
        next: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match token {
            Token::Connect(to) => *next = Some(to),
            Token::Pass(0) => {
                DONE.arrive();
            }
            Token::Pass(hops) => {
                if let Some(next) = next {
                    Ractor::pass(next, hops - 1)?;
                }
            }
        }
        Ok(())
    }
}

impl Actor for Counter {
    type Msg = Msg;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, count: &mut u64) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Add => *count += 1,
            Msg::Get(reply_to) => reply_to.send(*count)?,
        }
        Ok(())
    }
}

/// A supervisor as ractor has them: an actor that starts a child again when it hears of its end.
impl Actor for Keeper {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Actor::spawn_linked(None, Crasher, (), myself.get_cell()).await?;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            Actor::spawn_linked(None, Crasher, (), myself.get_cell()).await?;
        }
        Ok(())
    }
}

impl Actor for Crasher {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        if DONE.arrive() {
            myself.send_message(())?;
        }
        Ok(())
    }

    async fn handle(&self, _: ActorRef<()>, (): (), (): &mut ()) -> Result<(), ActorProcessingErr> {
        panic!("crash")
    }
}
