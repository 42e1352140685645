//! The process that tells members of large topics how many there are, and who some of them are.
//!
//! It is no process of a shard: to tell a hundred thousand members takes a while, in which a shard has better things to do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use heronry::prelude::*;
use heronry_channels::{Channel, ChannelSocket, PushError};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::presences::Presences;
use super::summary::{News, Told, Windows};
use super::teller::Audience;
use super::{Inner, Mode, SAMPLE_KEYS_MAX, SAMPLE_METAS_MAX, counted};
use crate::entry::Entry;
use crate::shard::Topic;

/// What the process and whoever sees changes have in common.
#[derive(Default)]
pub(super) struct Summaries {
    /// Topics in which something has changed.
    changed: Mutex<HashSet<Arc<str>>>,
    told: Mutex<HashMap<Arc<str>, Told>>,
    summarizer: RwLock<Option<Addr<SummarizerMsg>>>,
}

pub(super) enum SummarizerMsg {
    /// There are topics in which something has changed.
    Changed,
    /// A window ends.
    Due,
}

/// The process.
pub(super) struct Summarizer {
    inner: Arc<Inner>,
    windows: Windows,
    epoch: Instant,
    /// When the next message of itself comes.
    armed: Option<Duration>,
}

impl Summaries {
    /// Something has changed in a topic.
    pub(super) fn changed(&self, topic: &str) {
        let mut changed = self.changed.lock();
        let is_first = changed.is_empty();
        if !changed.contains(topic) {
            changed.insert(topic.into());
        }
        drop(changed);
        // One message is under way for all that changes until it is read. If there is nobody to read it, whoever
        // comes will look.
        if is_first && let Some(summarizer) = &*self.summarizer.read() {
            drop(summarizer.send(SummarizerMsg::Changed));
        }
    }

    fn take_changed(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut *self.changed.lock())
    }
}

impl Server for Summarizer {
    type Args = Arc<Inner>;
    type Msg = SummarizerMsg;

    async fn init(inner: Arc<Inner>, ctx: &mut Context<SummarizerMsg>) -> Init<Self> {
        let summaries = &inner.summaries;
        *summaries.summarizer.write() = Some(ctx.addr());
        // What the one before this was about to tell.
        let told: Vec<_> = summaries.told.lock().keys().cloned().collect();
        summaries.changed.lock().extend(told);
        let windows = Windows::new(inner.summary_window);
        let mut summarizer = Self { inner, windows, epoch: Instant::now(), armed: None };
        summarizer.tell_what_has_changed();
        summarizer.arm(ctx);
        Ok(summarizer)
    }

    async fn handle(&mut self, msg: SummarizerMsg, ctx: &mut Context<SummarizerMsg>) -> Next {
        match msg {
            SummarizerMsg::Changed => {}
            SummarizerMsg::Due => self.armed = None,
        }
        self.tell_what_has_changed();
        self.arm(ctx);
        Next::Continue
    }
}

impl Summarizer {
    fn tell_what_has_changed(&mut self) {
        let now = self.epoch.elapsed();
        let mut topics = self.windows.due(now);
        let changed = self.inner.summaries.take_changed();
        topics.extend(changed.into_iter().filter(|topic| self.windows.changed(topic, now)));
        topics.iter().for_each(|topic| self.inner.summarize(topic));
    }

    fn arm(&mut self, ctx: &Context<SummarizerMsg>) {
        if self.armed.is_none()
            && let Some(deadline) = self.windows.deadline()
        {
            self.armed = Some(deadline);
            let delay = deadline.saturating_sub(self.epoch.elapsed());
            ctx.send_after(delay, SummarizerMsg::Due);
        }
    }
}

impl Inner {
    /// Tells the members of a topic on this node what is new.
    fn summarize(&self, topic: &Arc<str>) {
        let keys_max = self.sampled(topic);
        let News { count, diff } = {
            let mut told = self.summaries.told.lock();
            let (count, sample) = self.drawn(topic, keys_max);
            let news = told.entry(topic.clone()).or_default().update(count, sample);
            if count == 0 {
                told.remove(topic);
            }
            news
        };
        if let Some(diff) = diff {
            self.pass_on(topic, diff, Audience::Members);
        }
        if let Some(count) = count {
            self.broadcast(topic, "presence_count", counted(count));
        }
    }

    /// How many keys of a topic its members are told of by name.
    fn sampled(&self, topic: &str) -> usize {
        match self.mode(topic) {
            Mode::Sample(keys) => keys.min(SAMPLE_KEYS_MAX),
            Mode::Full | Mode::Count => 0,
        }
    }

    /// How many keys a topic has, and the entries of some of them.
    fn drawn(&self, topic: &str, keys_max: usize) -> (usize, Vec<Arc<Entry>>) {
        let Some(shared) = self.shared() else { return (0, Vec::new()) };
        let table = shared.shard(topic).table();
        if keys_max == 0 {
            return (table.look(topic, Topic::keys_len), Vec::new());
        }
        table.look_to_draw(topic, |topic| (topic.keys_len(), topic.drawn(keys_max, SAMPLE_METAS_MAX)))
    }

    /// Pushes the sample that the members of a topic were told, and how many there are now.
    pub(super) fn push_summary<C: Channel>(&self, socket: &ChannelSocket<C>) -> Result<(), PushError> {
        let topic = socket.topic();
        let is_sampled = matches!(self.mode(topic), Mode::Sample(_));
        // What changes from now on is told after this: it is found out under the same lock.
        let mut told = self.summaries.told.lock();
        if is_sampled {
            let sample = told.get(topic).map_or_else(Presences::default, Told::sample);
            self.push_presences(socket, sample)?;
        }
        let (count, _) = self.drawn(topic, 0);
        if let Some(told) = told.get_mut(topic) {
            told.told_one(count);
        }
        socket.push("presence_count", counted(count))
    }
}
