//! A process that does what a test tells it to, from the inside.

use heronry::group::GroupEvent;
use heronry::prelude::*;
use heronry::registry::RegistryEvent;

use crate::support::PATIENCE;

type Job = Box<dyn FnOnce(&Context<Msg>) + Send>;

/// What a puppet takes.
pub(crate) enum Msg {
    /// Done at once, in the puppet.
    Do(Job),
    /// Kept for [`heard`].
    Event(GroupEvent<String, Msg>),
    /// Kept for [`listened`].
    Entry(RegistryEvent<String, u32, Msg>),
    Heard(ReplyTo<Vec<GroupEvent<String, Msg>>>),
    Listened(ReplyTo<Vec<RegistryEvent<String, u32, Msg>>>),
    Downs(ReplyTo<Vec<Pid>>),
    Stop(ExitReason),
}

#[derive(Default)]
pub(crate) struct Puppet {
    events: Vec<GroupEvent<String, Msg>>,
    entries: Vec<RegistryEvent<String, u32, Msg>>,
    downs: Vec<Pid>,
}

impl Server for Puppet {
    type Args = ();
    type Msg = Msg;

    async fn init((): (), _: &mut Context<Msg>) -> Init<Self> {
        Ok(Self::default())
    }

    async fn handle(&mut self, msg: Msg, ctx: &mut Context<Msg>) -> Next {
        match msg {
            Msg::Do(job) => job(ctx),
            Msg::Event(event) => self.events.push(event),
            Msg::Entry(event) => self.entries.push(event),
            Msg::Listened(reply_to) => reply_to.send(std::mem::take(&mut self.entries)),
            Msg::Heard(reply_to) => reply_to.send(std::mem::take(&mut self.events)),
            Msg::Downs(reply_to) => reply_to.send(std::mem::take(&mut self.downs)),
            Msg::Stop(reason) => return Next::Stop(reason),
        }
        Next::Continue
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<Msg>) -> Next {
        if let Info::Down(down) = info {
            self.downs.push(down.pid);
        }
        Next::Continue
    }
}

/// A puppet, linked to nobody.
pub(crate) async fn puppet() -> Addr<Msg> {
    Puppet::start(()).await.expect("a puppet starts")
}

/// Has the puppet run `job` and gives what it returns.
pub(crate) async fn within_puppet<T: Send + 'static>(
    puppet: &Addr<Msg>,
    job: impl FnOnce(&Context<Msg>) -> T + Send + 'static,
) -> T {
    let call = puppet.call(|reply_to| Msg::Do(Box::new(move |ctx| reply_to.send(job(ctx)))), PATIENCE);
    call.await.expect("the puppet does it")
}

/// The group events that came since the last time.
pub(crate) async fn heard(puppet: &Addr<Msg>) -> Vec<GroupEvent<String, Msg>> {
    puppet.call(Msg::Heard, PATIENCE).await.expect("the puppet answers")
}

/// The registry events that came since the last time.
pub(crate) async fn listened(puppet: &Addr<Msg>) -> Vec<RegistryEvent<String, u32, Msg>> {
    puppet.call(Msg::Listened, PATIENCE).await.expect("the puppet answers")
}

/// Whose `Down` came since the last time.
pub(crate) async fn downs(puppet: &Addr<Msg>) -> Vec<Pid> {
    puppet.call(Msg::Downs, PATIENCE).await.expect("the puppet answers")
}

/// Kills a process and waits for its end.
pub(crate) async fn kill<M: Send + 'static>(process: &Addr<M>) {
    heronry::process::kill(process.pid());
    process.wait().await;
}

/// Random numbers from a seed: xorshift, enough to choose the next step.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
