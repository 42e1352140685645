//! A stable address: the address of a child of a supervisor, whichever process it is at the moment.
//!
//! Behind it is a post that the incarnations take over from each other. While one runs, what is sent goes to its mailbox,
//! as ever; what it leaves unread comes back to the post and goes to the next one, in order. While none runs, what is sent
//! waits at the post.
//!
//! The post's lock is taken before a process's, never after.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::addr::{Addr, SendError};
use super::core::{Estate, Process};
use super::events::{DeadLetters, MessageQuarantined};
use super::letter::{Fate, Letter, Place, fate};
use super::mailbox::{Item, Overflow};
use super::names::RegisterError;
use super::table::{self, AnyProcess};
use super::watch::ExitWatcher;
use crate::exit::ExitReason;
use crate::name::Label;
use crate::pid::{Pid, Ref};
use crate::sync::Mutex;
use crate::telemetry;
use crate::unwind::drop_quietly;

/// The address of a supervised child that stays valid when the child is restarted, and keeps its mail.
///
/// Made by [`ChildSpec::stable`](crate::ChildSpec::stable), before the child runs. What differs from an [`Addr`]:
///
/// - What waits in the mailbox when the child ends is not lost, nor what selective receives have passed over.
///   The next incarnation gets it, in order and before what is sent later; calls among it are answered by that one.
///   Messages sent while none runs wait for it, as many as the mailbox of the last one held.
/// - The message that the child was at when it ended is gone, and if it was a call its caller learns the exit reason.
///   (Unless the spec says that messages are [redelivered](crate::ChildSpec::stable_redelivering).) So is what was
///   sent to an incarnation's own [`Addr`].
/// - A child that its supervisor gives up (it ended and is not restarted, it was terminated, the supervisor itself ended)
///   takes nothing more: calls that wait fail with the exit reason, and the rest are dead letters
///   ([`DeadLetters`](super::DeadLetters)). If the child is started again later, the address is valid again.
/// - A mailbox that was full under [`Overflow::Exit`] is not kept, since it would end the next incarnation at once: it is
///   dead letters.
///
/// Links and monitors are with an incarnation, not with the address. Erlang has no counterpart: there a mailbox dies with
/// its process, and a name leads to the next one.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
/// use heronry::process::StableAddr;
///
/// struct Divider;
///
/// enum Msg { Divide(u32, u32, ReplyTo<u32>) }
///
/// impl Server for Divider {
///     type Args = ();
///     type Msg = Msg;
///     async fn init((): (), _: &mut Context<Msg>) -> Init<Self> { Ok(Divider) }
///     async fn handle(&mut self, Msg::Divide(a, b, reply_to): Msg, _: &mut Context<Msg>) -> Next {
///         reply_to.send(a / b);
///         Next::Continue
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (spec, divider): (ChildSpec, StableAddr<Msg>) = ChildSpec::server::<Divider>("divider", ()).stable();
/// let tree = Supervisor::one_for_one().child(spec).start().await?;
/// let second = Duration::from_secs(1);
/// let (crash, answer) = tokio::join!(
///     divider.call(|to| Msg::Divide(1, 0, to), second),
///     divider.call(|to| Msg::Divide(6, 2, to), second), // waits behind it in the mailbox
/// );
/// assert!(matches!(crash, Err(CallError::Exited(ExitReason::Panic(_)))));
/// assert_eq!(answer, Ok(3)); // from the next incarnation
/// # tree.stop().await;
/// # Ok(()) }
/// ```
pub struct StableAddr<M> {
    post: Arc<Post<M>>,
}

/// When messages are given to the next incarnation once more.
pub(crate) struct Redelivery<M> {
    /// How many incarnations may end with the same message.
    pub(crate) deaths_max: u8,
    pub(crate) copy: Copy<M>,
}

type Copy<M> = Box<dyn Fn(&M) -> Option<M> + Send + Sync>;

/// What a supervisor and a spawn know of a post, without the type of its messages.
pub(crate) trait Heir: Any + fmt::Debug + Send + Sync {
    /// No incarnation will follow, or not before somebody asks for it. Nothing happens if the child is not the tenant.
    fn give_up(&self, child: Ref, reason: &ExitReason);
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// One child of one supervisor, as the one whose incarnations have a post.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    heir: Arc<dyn Heir>,
    child: Ref,
}

impl Tenant {
    pub(crate) fn new(heir: Arc<dyn Heir>) -> Self {
        Self { heir, child: table::next_ref() }
    }

    pub(crate) fn give_up(&self, reason: &ExitReason) {
        self.heir.give_up(self.child, reason);
    }

    /// Gives the post to a process that does not run yet.
    pub(super) fn install<M: Send + 'static>(self, process: &Arc<Process<M>>) -> Result<(), RegisterError> {
        let post = self.heir.as_any().downcast::<Post<M>>().map_err(|_| RegisterError::AddressOfOtherType)?;
        post.take_over(self.child, process)
    }
}

pub(crate) struct Post<M> {
    label: Label,
    redelivery: Option<Redelivery<M>>,
    state: Mutex<State<M>>,
}

struct State<M> {
    /// Whose the post is, until it is given up.
    tenant: Option<Ref>,
    holder: Holder<M>,
    /// What waits while nobody holds the post.
    letters: VecDeque<Box<Letter<M>>>,
    /// Wakes those who wait for room, or for a holder.
    senders: Vec<Waker>,
}

/// Who has the post.
enum Holder<M> {
    Process(Arc<Process<M>>),
    /// The last incarnation has ended and its supervisor has not decided, or is about to start the next one.
    Vacant {
        last: Pid,
        limit: usize,
        overflow: Overflow,
    },
    /// Nobody, for this reason, until somebody asks for the child again.
    GivenUp(ExitReason),
}

/// What a process has left unread.
struct Sorted<M> {
    letters: VecDeque<Box<Letter<M>>>,
    others: VecDeque<Item<M>>,
    /// At most one letter is in hand.
    handled: Option<Box<Letter<M>>>,
    quarantined: Option<Box<Letter<M>>>,
}

/// What nobody will read any more.
struct DeadMail<M> {
    letters: VecDeque<Box<Letter<M>>>,
    senders: Vec<Waker>,
}

impl<M: Send + 'static> Post<M> {
    fn new(label: Label, redelivery: Option<Redelivery<M>>) -> Self {
        let holder = Holder::GivenUp(ExitReason::NoProc);
        let state = State { tenant: None, holder, letters: VecDeque::new(), senders: Vec::new() };
        Self { label, redelivery, state: Mutex::new(state) }
    }

    /// Gives the post, with what waits there, to a process that does not run yet.
    fn take_over(self: &Arc<Self>, child: Ref, process: &Arc<Process<M>>) -> Result<(), RegisterError> {
        let mut state = self.state.lock();
        match &state.holder {
            Holder::Process(holder) => return Err(RegisterError::AddressTaken(holder.pid())),
            Holder::Vacant { last, .. } if state.tenant != Some(child) => {
                return Err(RegisterError::AddressTaken(*last));
            }
            Holder::Vacant { .. } | Holder::GivenUp(_) => {}
        }
        state.tenant = Some(child);
        process.inherit(self.clone(), state.letters.drain(..));
        state.holder = Holder::Process(process.clone());
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        senders.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Closes the process that holds the post, and takes its unread letters back. Both under the post's lock: whoever finds
    /// the process closed finds them here.
    pub(super) fn hand_back(
        &self,
        process: &Process<M>,
        reason: &ExitReason,
        close: impl FnOnce() -> Estate<M>,
    ) -> Estate<M> {
        let (limit, overflow) = process.mailbox_policy();
        let mut state = self.state.lock();
        let mut estate = close();
        let Sorted { letters, others, handled, quarantined } =
            self.sort(std::mem::take(&mut estate.unread), reason);
        estate.unread = others;
        let holds = matches!(&state.holder, Holder::Process(holder) if std::ptr::eq(&**holder, process));
        // What has filled a mailbox whose limit ends the process would end the next one too.
        let overflows = overflow == Overflow::Exit && letters.len() >= limit;
        if holds {
            state.holder = Holder::Vacant { last: process.pid(), limit, overflow };
        }
        let dead = if holds && !overflows {
            state.letters = letters;
            VecDeque::new()
        } else {
            letters
        };
        drop(state);
        drop_quietly(handled);
        self.bury(DeadMail { letters: dead, senders: Vec::new() }, process.pid(), reason);
        if let Some(letter) = quarantined {
            telemetry::emit(&MessageQuarantined {
                pid: process.pid(),
                child: self.label.clone(),
                message: std::any::type_name::<M>(),
                reasons: letter.envelope.deaths.clone(),
            });
            drop_quietly(letter);
        }
        estate
    }

    /// Sorts what a process has left unread. Nothing of it is dropped, since this is under the lock.
    fn sort(&self, unread: VecDeque<Item<M>>, reason: &ExitReason) -> Sorted<M> {
        let mut sorted =
            Sorted { letters: VecDeque::new(), others: VecDeque::new(), handled: None, quarantined: None };
        for item in unread {
            let mut letter = match item {
                Item::Letter(letter) => letter,
                other @ (Item::Message(_) | Item::Info(_) | Item::Stop(_) | Item::Ask(_)) => {
                    sorted.others.push_back(other);
                    continue;
                }
            };
            let cut_off = match std::mem::replace(&mut letter.envelope.place, Place::Waiting) {
                Place::Waiting => {
                    sorted.letters.push_back(letter);
                    continue;
                }
                Place::InHand => false,
                Place::CutOff => true,
            };
            if !reason.is_orderly() {
                letter.envelope.deaths.push(reason.clone());
            }
            let deaths_max = self.redelivery.as_ref().map_or(0, |redelivery| redelivery.deaths_max);
            match fate(reason, cut_off, letter.envelope.deaths.len(), deaths_max) {
                Fate::Handled => sorted.handled = Some(letter),
                Fate::Redelivered => sorted.letters.push_back(letter),
                Fate::Quarantined => sorted.quarantined = Some(letter),
            }
        }
        sorted
    }

    fn poll_push(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Result<(), SendError<M>>> {
        let mut state = self.state.lock();
        let deposit = match &state.holder {
            Holder::Process(process) => {
                std::task::ready!(process.poll_deposit_letter(cx, message, watcher))
            }
            Holder::Vacant { limit, overflow: Overflow::Block, .. } if state.letters.len() >= *limit => {
                state.senders.push(cx.waker().clone());
                return Poll::Pending;
            }
            Holder::Vacant { .. } | Holder::GivenUp(_) => {
                let message = message.take().expect("invariant: a message is sent once");
                return Poll::Ready(state.push(Letter::new(message, watcher.cloned())));
            }
        };
        drop(state);
        Poll::Ready(deposit.tell())
    }

    fn push(&self, message: M) -> Result<(), SendError<M>> {
        let mut state = self.state.lock();
        let deposit = match &state.holder {
            Holder::Process(process) => process.deposit_letter(message),
            Holder::Vacant { .. } | Holder::GivenUp(_) => return state.push(Letter::new(message, None)),
        };
        // What is the user's runs without the lock.
        drop(state);
        deposit.tell()
    }

    /// Tells callers, and telemetry, that nobody will read this.
    fn bury(&self, dead: DeadMail<M>, last: Pid, reason: &ExitReason) {
        if !dead.letters.is_empty() {
            telemetry::emit(&DeadLetters {
                pid: last,
                label: self.label.clone(),
                reason: reason.clone(),
                message: std::any::type_name::<M>(),
                count: dead.letters.len(),
            });
        }
        for letter in dead.letters {
            if let Some(watcher) = &letter.envelope.watcher {
                watcher.exited(reason);
            }
            drop_quietly(letter);
        }
        dead.senders.into_iter().for_each(Waker::wake);
    }

    /// A copy of a message that an incarnation is about to handle.
    pub(super) fn copy(&self, message: &M) -> Option<M> {
        self.redelivery.as_ref().and_then(|redelivery| (redelivery.copy)(message))
    }
}

impl<M> State<M> {
    /// Queues a letter where no process takes it.
    fn push(&mut self, letter: Letter<M>) -> Result<(), SendError<M>> {
        match &self.holder {
            Holder::Vacant { limit, .. } if self.letters.len() < *limit => {
                self.letters.push_back(Box::new(letter));
                Ok(())
            }
            Holder::Vacant { .. } => Err(SendError::Full(letter.message)),
            Holder::GivenUp(_) => Err(SendError::NoProc(letter.message)),
            Holder::Process(_) => unreachable!("invariant: a holder takes its letters itself"),
        }
    }

    fn abandon(&mut self) -> DeadMail<M> {
        DeadMail { letters: std::mem::take(&mut self.letters), senders: std::mem::take(&mut self.senders) }
    }
}

impl<M: Send + 'static> Heir for Post<M> {
    fn give_up(&self, child: Ref, reason: &ExitReason) {
        let mut state = self.state.lock();
        if state.tenant != Some(child) {
            return;
        }
        state.tenant = None;
        let last = match &state.holder {
            Holder::Process(process) => process.pid(),
            Holder::Vacant { last, .. } => *last,
            Holder::GivenUp(_) => return,
        };
        let dead = state.abandon();
        let before = std::mem::replace(&mut state.holder, Holder::GivenUp(reason.clone()));
        drop(state);
        drop(before);
        self.bury(dead, last, reason);
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl<M> fmt::Debug for Post<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("label", &self.label).finish_non_exhaustive()
    }
}

impl<M: Send + 'static> StableAddr<M> {
    pub(crate) fn new(label: Label, redelivery: Option<Redelivery<M>>) -> (Self, Arc<dyn Heir>) {
        let post = Arc::new(Post::new(label, redelivery));
        (Self { post: post.clone() }, post)
    }

    /// Sends a message; it never waits.
    ///
    /// # Errors
    /// [`SendError::NoProc`], with the message, if the child was not started yet or was given up; [`SendError::Full`] if
    /// the mailbox is full, or what waits for the next incarnation would fill it.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.post.push(message)
    }

    /// Sends a message that asks for no reply; OTP's `cast`. The same as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn cast(&self, message: M) -> Result<(), SendError<M>> {
        self.send(message)
    }

    /// Sends a message, and waits for room first if the mailbox is full and its policy is [`Overflow::Block`]; with another
    /// policy it is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// If the future is dropped before it is ready, the message is dropped and was not sent.
    pub async fn send_wait(&self, message: M) -> Result<(), SendError<M>> {
        let mut message = Some(message);
        std::future::poll_fn(|cx| self.poll_push(cx, &mut message, None)).await
    }

    pub(crate) fn poll_push(
        &self,
        cx: &mut TaskContext<'_>,
        message: &mut Option<M>,
        watcher: Option<&Arc<dyn ExitWatcher>>,
    ) -> Poll<Result<(), SendError<M>>> {
        self.post.poll_push(cx, message, watcher)
    }

    /// The address of the process that the child is at the moment; `None` while it is none.
    pub fn addr(&self) -> Option<Addr<M>> {
        match &self.post.state.lock().holder {
            Holder::Process(process) => Some(Addr::new(process.clone())),
            Holder::Vacant { .. } | Holder::GivenUp(_) => None,
        }
    }

    /// How many messages wait, in the mailbox or for the next incarnation.
    pub fn mailbox_len(&self) -> usize {
        match self.addr() {
            Some(addr) => addr.mailbox_len(),
            None => self.post.state.lock().letters.len(),
        }
    }

    /// Why the child was given up, [`NoProc`](ExitReason::NoProc) if it was never started; `None` while it runs or is being
    /// restarted.
    pub fn given_up(&self) -> Option<ExitReason> {
        match &self.post.state.lock().holder {
            Holder::GivenUp(reason) => Some(reason.clone()),
            Holder::Process(_) | Holder::Vacant { .. } => None,
        }
    }
}

impl<M> Clone for StableAddr<M> {
    fn clone(&self) -> Self {
        Self { post: self.post.clone() }
    }
}

impl<M> fmt::Debug for StableAddr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StableAddr({})", self.post.label)
    }
}
