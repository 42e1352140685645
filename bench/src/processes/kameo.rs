//! kameo, measured.

use std::time::Duration;

use ::kameo::error::Infallible;
use ::kameo::prelude::{Actor, ActorRef, Context, Message, Spawn, mailbox};

use super::gate::{DONE, STARTED};
use super::library::{CALL_TIMEOUT, Error, Library};

pub(super) struct Kameo;

pub(super) struct Node {
    next: Option<ActorRef<Node>>,
}

struct Connect(ActorRef<Node>);
struct Pass(u64);

pub(super) struct Counter {
    count: u64,
}

struct Add;
struct Get;

pub(super) struct Keeper;

struct Crasher;
struct Crash;

impl Library for Kameo {
    type Node = ActorRef<Node>;
    type Server = ActorRef<Counter>;
    type Tree = ActorRef<Keeper>;

    async fn node() -> Result<ActorRef<Node>, Error> {
        Ok(Node::spawn_with_mailbox((), mailbox::unbounded()))
    }

    fn connect(node: &ActorRef<Node>, next: ActorRef<Node>) -> Result<(), Error> {
        Ok(node.tell(Connect(next)).try_send()?)
    }

    fn pass(node: &ActorRef<Node>, hops: u64) -> Result<(), Error> {
        Ok(node.tell(Pass(hops)).try_send()?)
    }

    async fn server() -> Result<ActorRef<Counter>, Error> {
        Ok(Counter::spawn_with_mailbox((), mailbox::unbounded()))
    }

    fn cast(server: &ActorRef<Counter>) -> Result<(), Error> {
        Ok(server.tell(Add).try_send()?)
    }

    async fn call(server: &ActorRef<Counter>) -> Result<u64, Error> {
        Ok(server.ask(Get).reply_timeout(CALL_TIMEOUT).send().await?)
    }

    async fn supervise() -> Result<Option<ActorRef<Keeper>>, Error> {
        Ok(Some(Keeper::spawn_with_mailbox((), mailbox::unbounded())))
    }
}

impl Actor for Node {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        STARTED.arrive();
        Ok(Self { next: None })
    }
}

impl Message<Connect> for Node {
    type Reply = ();

    async fn handle(&mut self, Connect(next): Connect, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Message<Pass> for Node {
    type Reply = ();

    async fn handle(&mut self, Pass(hops): Pass, _: &mut Context<Self, ()>) {
        match (hops, &self.next) {
            (0, _) => {
                DONE.arrive();
            }
            (_, Some(next)) => drop(next.tell(Pass(hops - 1)).try_send()),
            (_, None) => {}
        }
    }
}

impl Actor for Counter {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self { count: 0 })
    }
}

impl Message<Add> for Counter {
    type Reply = ();

    async fn handle(&mut self, Add: Add, _: &mut Context<Self, ()>) {
        self.count += 1;
    }
}

impl Message<Get> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Get: Get, _: &mut Context<Self, u64>) -> u64 {
        self.count
    }
}

impl Actor for Keeper {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), myself: ActorRef<Self>) -> Result<Self, Infallible> {
        Crasher::supervise(&myself, ())
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::unbounded())
            .await;
        Ok(Self)
    }
}

impl Actor for Crasher {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), myself: ActorRef<Self>) -> Result<Self, Infallible> {
        if DONE.arrive() {
            drop(myself.tell(Crash).try_send());
        }
        Ok(Self)
    }
}

impl Message<Crash> for Crasher {
    type Reply = ();

    async fn handle(&mut self, Crash: Crash, _: &mut Context<Self, ()>) {
        panic!("crash")
    }
}
