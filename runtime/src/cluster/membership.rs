//! Membership: who is in the cluster, as seen from one node.
//!
//! A node is known by its name, in one life at a time. What is heard, and for how long nothing was, decides what it is
//! ([`failure`](super::failure)); this is what it adds:
//!
//! - A new life of a name replaces the one before at once, and what is heard of the old one later does not bring it back:
//!   only if the new one is lost and the old one goes on to beat, it was alive all the time.
//! - Which of two lives is the newer one tell their ages, since an incarnation is no order in time. What is late seems
//!   younger than it is, so a life that seems older than the known one is not over: it takes the name when that falls silent.
//! - A node that leaves is gone at once, and its life does not come back either.
//! - While our own link is down, nobody is judged; when it is up again everybody gets the full time anew. So it is too when this
//!   node itself stood still: whoever was silent then may have been heard by others.
//!
//! Pure: an event and the time come in, and what has changed comes out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::beat::Beat;
use super::events::NodeEvent;
use super::failure::{Patience, Standing};
use crate::clock::Instant;
use crate::node::{Incarnation, NodeId, NodeName};

/// How many lives that are over are remembered, so that nothing late brings them back; the oldest is forgotten.
pub(super) const ENDED_LIVES_MAX: usize = 4_096;

/// What one node knows of the others.
#[derive(Debug)]
pub(super) struct Membership {
    own: NodeId,
    /// When our own life began.
    born: Instant,
    patience: Patience,
    heartbeat: Duration,
    nodes_max: usize,
    members: HashMap<NodeName, Member>,
    ended: EndedLives,
    /// Whether our own link is up.
    is_linked: bool,
    /// When it was last looked at the time.
    looked: Instant,
    changes: Vec<NodeEvent>,
}

#[derive(Debug)]
struct Member {
    id: NodeId,
    /// When its life began, at the latest: what arrives late makes it seem younger.
    born: Option<Instant>,
    /// The number of its last heartbeat; an older one that comes later says nothing.
    seq: Option<u64>,
    heard: Instant,
    standing: Standing,
}

/// What became of something that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The node is known, and was before.
    Known,
    /// The node is new, new in this life, or back: it should hear of us without waiting.
    New,
    /// From a life that is over, or a heartbeat that is older than one before.
    Late,
    /// From a younger life of this very node's name: somebody else has taken it.
    NameTaken,
    /// There are as many nodes as there may be.
    Full,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It said so.
    Left,
    /// Another life took its name; and when it was heard since, if it was.
    Replaced { heard: Option<Instant> },
}

type Life = (NodeName, Incarnation);

/// Lives that are over: a map that forgets its oldest.
#[derive(Debug, Default)]
struct EndedLives {
    lives: HashMap<Life, Ended>,
    order: VecDeque<Life>,
}

fn life(id: &NodeId) -> Life {
    (id.name().clone(), id.incarnation())
}

impl EndedLives {
    fn insert(&mut self, id: &NodeId, how: Ended) {
        if self.lives.insert(life(id), how).is_some() {
            return;
        }
        self.order.push_back(life(id));
        if self.order.len() > ENDED_LIVES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.lives.remove(&oldest);
        }
    }

    fn get_mut(&mut self, id: &NodeId) -> Option<&mut Ended> {
        self.lives.get_mut(&life(id))
    }

    fn contains(&self, id: &NodeId) -> bool {
        self.lives.contains_key(&life(id))
    }

    fn remove(&mut self, id: &NodeId) {
        let life = life(id);
        if self.lives.remove(&life).is_some() {
            self.order.retain(|other| *other != life);
        }
    }
}

impl Membership {
    /// Alone, with the link down.
    pub(super) fn new(
        own: NodeId,
        (heartbeat, patience): (Duration, Patience),
        nodes_max: usize,
        now: Instant,
    ) -> Self {
        Self {
            own,
            born: now,
            patience,
            heartbeat,
            nodes_max,
            members: HashMap::new(),
            ended: EndedLives::default(),
            is_linked: false,
            looked: now,
            changes: Vec::new(),
        }
    }

    /// What has changed since this was last asked, in order.
    pub(super) fn take_changes(&mut self) -> Vec<NodeEvent> {
        std::mem::take(&mut self.changes)
    }

    /// A heartbeat arrived.
    pub(super) fn beat(&mut self, from: NodeId, seq: u64, beat: Beat, now: Instant) -> Heard {
        match beat {
            Beat::Alive { age } => self.heard(from, Some((seq, age)), now),
            Beat::Leave => self.left(&from),
        }
    }

    /// Something else than a heartbeat arrived: enough to know a node that was not known at all, and nothing more. What was
    /// under way for long proves no life.
    pub(super) fn frame(&mut self, from: NodeId, now: Instant) -> Heard {
        if from.name() == self.own.name() {
            return Heard::Late;
        }
        match self.members.get(from.name()) {
            Some(member) if member.id == from && member.standing < Standing::Down => Heard::Known,
            Some(_) => Heard::Late,
            None => self.heard(from, None, now),
        }
    }

    fn heard(&mut self, from: NodeId, beat: Option<(u64, Duration)>, now: Instant) -> Heard {
        // A life that began before the clock did is as old as it gets.
        let born = beat.and_then(|(_, age)| now.checked_sub(age));
        if from.name() == self.own.name() {
            return self.namesake(&from, born);
        }
        if self.ended.contains(&from) && !self.is_back(&from, beat.is_some(), now) {
            return Heard::Late;
        }
        match self.members.get_mut(from.name()) {
            Some(member) if member.id == from => {
                if let Some((seq, _)) = beat {
                    if member.seq.is_some_and(|last| seq <= last) {
                        return Heard::Late;
                    }
                    member.seq = Some(seq);
                }
                if let Some(born) = born {
                    member.born = Some(member.born.map_or(born, |before| before.min(born)));
                }
                member.heard = now;
                let before = std::mem::replace(&mut member.standing, Standing::Up);
                match before {
                    Standing::Up => {}
                    Standing::Suspect => self.changes.push(NodeEvent::Recovered(from)),
                    Standing::Down | Standing::PermDown => {
                        self.changes.push(NodeEvent::Up(from));
                        return Heard::New;
                    }
                }
                Heard::Known
            }
            Some(member) => {
                if born < member.born && member.standing == Standing::Up {
                    return Heard::Late;
                }
                let old = member.id.clone();
                self.end(&old, Ended::Replaced { heard: None });
                self.join(from, beat, now)
            }
            None => self.join(from, beat, now),
        }
    }

    /// Whether a life that was replaced goes on while the one that replaced it is lost: it beats, and beat before, about as
    /// often as it should. Heartbeats that are late come in heaps, or once.
    fn is_back(&mut self, id: &NodeId, is_beat: bool, now: Instant) -> bool {
        let is_lost = self.members.get(id.name()).is_none_or(|member| member.standing >= Standing::Down);
        let Some(Ended::Replaced { heard }) = self.ended.get_mut(id) else { return false };
        if !is_beat || !is_lost {
            return false;
        }
        let since = heard.replace(now).map(|before| now.saturating_duration_since(before));
        let is_steady =
            since.is_some_and(|since| since >= self.heartbeat / 2 && since < self.patience.suspect);
        if is_steady {
            self.ended.remove(id);
        }
        is_steady
    }

    fn join(&mut self, id: NodeId, beat: Option<(u64, Duration)>, now: Instant) -> Heard {
        if self.members.len() >= self.nodes_max && !self.make_room() {
            return Heard::Full;
        }
        let member = Member {
            id: id.clone(),
            born: beat.and_then(|(_, age)| now.checked_sub(age)),
            seq: beat.map(|(seq, _)| seq),
            heard: now,
            standing: Standing::Up,
        };
        self.members.insert(id.name().clone(), member);
        self.changes.push(NodeEvent::Up(id));
        Heard::New
    }

    /// Forgets who is down for longest, if anybody is.
    fn make_room(&mut self) -> bool {
        let lost = self.members.values().filter(|member| member.standing == Standing::Down);
        let Some(longest) = lost.min_by_key(|member| (member.heard, member.id.clone())) else { return false };
        let id = longest.id.clone();
        self.forget(&id);
        true
    }

    fn left(&mut self, from: &NodeId) -> Heard {
        if from.name() == self.own.name() {
            return Heard::Late;
        }
        match self.members.get(from.name()) {
            Some(member) if member.id == *from => self.end(from, Ended::Left),
            // What of it is still under way must not make it seem to live.
            Some(_) | None => self.ended.insert(from, Ended::Left),
        }
        Heard::Known
    }

    /// The life of a member is over.
    fn end(&mut self, id: &NodeId, how: Ended) {
        self.ended.insert(id, how);
        let standing = self.members.get(id.name()).map(|member| member.standing);
        if standing.is_some_and(|standing| standing < Standing::Down) {
            self.changes.push(NodeEvent::Down(id.clone()));
        }
        self.forget(id);
    }

    fn forget(&mut self, id: &NodeId) {
        self.members.remove(id.name());
        self.changes.push(NodeEvent::PermDown(id.clone()));
    }

    /// Another life of our own name: one before ours, whose last words are late, or one that somebody began since.
    fn namesake(&mut self, other: &NodeId, born: Option<Instant>) -> Heard {
        if *other == self.own || self.ended.contains(other) || born <= Some(self.born) {
            return Heard::Late;
        }
        // Once for each life is often enough.
        self.ended.insert(other, Ended::Left);
        Heard::NameTaken
    }

    /// Our own link went up or down.
    pub(super) fn link(&mut self, is_up: bool, now: Instant) {
        if is_up && !self.is_linked {
            self.forgive(now);
        }
        self.is_linked = is_up;
        self.looked = now;
    }

    /// Gives everybody the full time anew.
    fn forgive(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.heard = now;
        }
    }

    /// Judges everybody by the time.
    pub(super) fn tick(&mut self, now: Instant) {
        let away = now.saturating_duration_since(self.looked);
        self.looked = now;
        if !self.is_linked {
            return;
        }
        // We look more than once in a heartbeat. Who stood still for longer than two has heard nobody meanwhile.
        if away > 2 * self.heartbeat {
            for member in self.members.values_mut() {
                member.heard = (member.heard + away).min(now);
            }
        }
        let mut fallen = Vec::new();
        for member in self.members.values_mut() {
            let standing = self.patience.judge(now.saturating_duration_since(member.heard));
            // Silence alone makes nobody better.
            if standing > member.standing {
                fallen.push((member.heard, member.id.clone(), member.standing, standing));
                member.standing = standing;
            }
        }
        // In one order for equal causes, whatever the map's is.
        fallen.sort_unstable();
        for (_, id, before, standing) in fallen {
            if before < Standing::Suspect && standing == Standing::Suspect {
                self.changes.push(NodeEvent::Suspect(id.clone()));
            }
            if before < Standing::Down && standing >= Standing::Down {
                self.changes.push(NodeEvent::Down(id.clone()));
            }
            if standing == Standing::PermDown {
                self.forget(&id);
            }
        }
    }

    /// This node leaves: for it all others are gone.
    pub(super) fn leave(&mut self) {
        let mut ids: Vec<NodeId> = self.members.values().map(|member| member.id.clone()).collect();
        ids.sort_unstable();
        for id in ids {
            self.end(&id, Ended::Replaced { heard: None });
        }
        self.is_linked = false;
    }

    /// When somebody will have been silent for long enough to be judged anew.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if !self.is_linked {
            return None;
        }
        let until = |member: &Member| {
            let silence = self.patience.until_worse(member.standing)?;
            member.heard.checked_add(silence)
        };
        self.members.values().filter_map(until).min()
    }

    /// How many nodes are known, lost ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests;
