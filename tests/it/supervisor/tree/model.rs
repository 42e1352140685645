//! What a tree of supervisors does, told by the documentation of OTP's `supervisor`, and with nothing else in mind.
//!
//! Pure. It knows no processes, no mailboxes and no time but the number of the slot: an operation happens, and all of
//! its consequences are there when the function returns.

use std::collections::HashMap;
use std::mem;

use heronry::prelude::*;
use heronry::supervisor::Strategy;

use super::plan::{Branch, Manner, ROOT, Spec, Way, What};

/// Something that a worker is seen to do. The second number says which of its lives it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Starts(u32, u32),
    /// It was to start, and did not.
    Fails(u32),
    /// It ends knowingly: by itself, or told by its supervisor.
    Ends(u32, u32),
    /// It is gone without a word.
    Cut(u32, u32),
}

/// What a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Runs,
    Present,
    NotStarted,
}

/// A tree, and what happened in it.
#[derive(Debug)]
pub(crate) struct Model {
    /// `None` once it has ended.
    pub(crate) root: Option<Sup>,
    pub(crate) end: Option<ExitReason>,
    world: World,
    next_id: u32,
}

/// A supervisor that runs.
#[derive(Debug)]
pub(crate) struct Sup {
    pub(crate) id: u32,
    described: Branch,
    pub(crate) children: Vec<Child>,
    /// The slots of all its restarts.
    restarts: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) spec: Spec,
    pub(crate) life: Option<Life>,
    pub(crate) restarts: u32,
}

/// A child that runs.
#[derive(Debug)]
pub(crate) enum Life {
    /// The number of this life.
    Worker(u32),
    Supervisor(Sup),
}

#[derive(Debug, Default)]
struct World {
    slot: u32,
    /// In the order in which it happens.
    journal: Vec<Event>,
    /// What happens to those whose supervisor was killed: they end whenever they learn of it.
    loose: Vec<Event>,
    lives: HashMap<u32, u32>,
    starts_to_fail: HashMap<u32, u32>,
}

/// A supervisor has had one restart too many. Its children are stopped.
struct GaveUp;

impl World {
    fn start(&mut self, spec: &Spec) -> Option<Life> {
        match &spec.what {
            What::Worker(_) => {
                if let Some(left) = self.starts_to_fail.get_mut(&spec.id).filter(|left| **left > 0) {
                    *left -= 1;
                    self.journal.push(Event::Fails(spec.id));
                    return None;
                }
                let life = self.lives.entry(spec.id).or_default();
                *life += 1;
                self.journal.push(Event::Starts(spec.id, *life));
                Some(Life::Worker(*life))
            }
            What::Supervisor(branch) => self.start_supervisor(spec.id, branch).map(Life::Supervisor),
        }
    }

    /// "The children are started from left to right"; if one does not start, those before it are stopped again.
    fn start_supervisor(&mut self, id: u32, described: &Branch) -> Option<Sup> {
        let mut sup = Sup { id, described: described.clone(), children: Vec::new(), restarts: Vec::new() };
        for spec in &described.children {
            match self.start(spec) {
                Some(life) => sup.children.push(Child { spec: spec.clone(), life: Some(life), restarts: 0 }),
                None => {
                    self.stop_all(&mut sup);
                    return None;
                }
            }
        }
        Some(sup)
    }

    /// "… and terminated in the opposite order."
    fn stop_all(&mut self, sup: &mut Sup) {
        for child in sup.children.iter_mut().rev() {
            self.stop(child);
        }
    }

    fn stop(&mut self, child: &mut Child) {
        let id = child.spec.id;
        match (child.life.take(), &child.spec.what, child.spec.shutdown) {
            (None, _, _) => {}
            (
                Some(Life::Worker(life)),
                What::Worker(Manner::Polite),
                Shutdown::After(_) | Shutdown::Infinity,
            ) => {
                self.journal.push(Event::Ends(id, life));
            }
            (Some(Life::Worker(life)), _, _) => self.journal.push(Event::Cut(id, life)),
            (Some(Life::Supervisor(sup)), _, Shutdown::BrutalKill) => self.abandon(sup),
            (Some(Life::Supervisor(mut sup)), _, Shutdown::After(_) | Shutdown::Infinity) => {
                self.stop_all(&mut sup)
            }
        }
    }

    /// A supervisor was killed: its children learn of it by their links.
    fn abandon(&mut self, sup: Sup) {
        let journal = mem::take(&mut self.journal);
        for child in sup.children {
            match (child.life, child.spec.what) {
                // A stubborn one lives on, as it would in OTP.
                (None, _) | (Some(Life::Worker(_)), What::Worker(Manner::Stubborn)) => {}
                (Some(Life::Worker(life)), What::Worker(Manner::Polite)) => {
                    self.journal.push(Event::Ends(child.spec.id, life));
                }
                (Some(Life::Worker(life)), _) => self.journal.push(Event::Cut(child.spec.id, life)),
                // A supervisor ends with its parent, and stops its children first.
                (Some(Life::Supervisor(mut below)), _) => self.stop_all(&mut below),
            }
        }
        let theirs = mem::replace(&mut self.journal, journal);
        self.loose.extend(theirs);
    }

    /// A child has ended by itself: its restart type decides.
    fn ended(&mut self, sup: &mut Sup, at: usize, orderly: bool) -> Result<(), GaveUp> {
        sup.children[at].life = None;
        match (sup.children[at].spec.restart, orderly) {
            (Restart::Temporary, _) => {
                sup.children.remove(at);
                Ok(())
            }
            (Restart::Transient, true) => Ok(()),
            (Restart::Transient, false) | (Restart::Permanent, _) => self.restart(sup, at),
        }
    }

    fn restart(&mut self, sup: &mut Sup, mut at: usize) -> Result<(), GaveUp> {
        loop {
            sup.restarts.push(self.slot);
            let recent = sup.restarts.iter().filter(|slot| self.slot - **slot <= sup.described.period_slots);
            if recent.count() > sup.described.intensity as usize {
                self.stop_all(sup);
                return Err(GaveUp);
            }
            let affected = match sup.described.strategy {
                Strategy::OneForOne => at..at + 1,
                Strategy::OneForAll => 0..sup.children.len(),
                Strategy::RestForOne => at..sup.children.len(),
            };
            let after = sup.children.split_off(affected.end);
            let mut again = sup.children.split_off(affected.start);
            for child in again.iter_mut().rev() {
                self.stop(child);
            }
            // "A temporary child process is never restarted (even when the supervisor's restart strategy is
            // rest_for_one or one_for_all and a sibling's death causes the temporary process to be terminated)."
            again.retain(|child| child.spec.restart != Restart::Temporary);
            let mut failed = None;
            for (n, child) in again.iter_mut().enumerate() {
                child.life = self.start(&child.spec);
                if child.life.is_none() {
                    failed = Some(affected.start + n);
                    break;
                }
                child.restarts += 1;
            }
            sup.children.extend(again);
            sup.children.extend(after);
            // A restart that fails is a restart as well, and is tried again.
            match failed {
                Some(child) => at = child,
                None => return Ok(()),
            }
        }
    }

    /// The child of this id has ended, somewhere below `sup`; a supervisor that gives up has ended with `shutdown`.
    fn ended_below(&mut self, sup: &mut Sup, id: u32, orderly: bool) -> Result<(), GaveUp> {
        if let Some(at) = sup.children.iter().position(|child| child.spec.id == id) {
            return self.ended(sup, at, orderly);
        }
        for at in 0..sup.children.len() {
            if let Some(Life::Supervisor(below)) = &mut sup.children[at].life
                && below.find(id).is_some()
            {
                return match self.ended_below(below, id, orderly) {
                    Ok(()) => Ok(()),
                    Err(GaveUp) => self.ended(sup, at, true),
                };
            }
        }
        unreachable!("invariant: operations are done to what is there")
    }
}

impl Sup {
    /// The supervisor that has this child, at or below this one.
    fn find(&mut self, child: u32) -> Option<&mut Sup> {
        if self.children.iter().any(|own| own.spec.id == child) {
            return Some(self);
        }
        self.children.iter_mut().find_map(|own| match &mut own.life {
            Some(Life::Supervisor(below)) => below.find(child),
            Some(Life::Worker(_)) | None => None,
        })
    }

    fn supervisors<'a>(&'a self, found: &mut Vec<&'a Sup>) {
        found.push(self);
        for child in &self.children {
            if let Some(Life::Supervisor(below)) = &child.life {
                below.supervisors(found);
            }
        }
    }
}

impl Model {
    pub(crate) fn start(root: &Branch) -> Self {
        let mut world = World::default();
        let sup = world.start_supervisor(ROOT, root).expect("no start fails yet");
        // Above all ids of the tree; an operation adds at most one child.
        Self { root: Some(sup), end: None, world, next_id: 1_000 }
    }

    /// What has happened since this was last asked: in order, and in any order.
    pub(crate) fn news(&mut self) -> (Vec<Event>, Vec<Event>) {
        (mem::take(&mut self.world.journal), mem::take(&mut self.world.loose))
    }

    pub(crate) fn supervisors(&self) -> Vec<&Sup> {
        let mut found = Vec::new();
        if let Some(root) = &self.root {
            root.supervisors(&mut found);
        }
        found
    }

    /// The workers that run, with the life that each is in.
    pub(crate) fn workers(&self) -> Vec<(u32, u32, Manner)> {
        let children = self.supervisors().into_iter().flat_map(|sup| &sup.children);
        children
            .filter_map(|child| match (&child.life, &child.spec.what) {
                (Some(Life::Worker(life)), What::Worker(manner)) => Some((child.spec.id, *life, *manner)),
                (Some(Life::Supervisor(_)) | None, _) | (_, What::Supervisor(_)) => None,
            })
            .collect()
    }

    /// All children that are known, running or not: each with the supervisor that has it.
    pub(crate) fn children(&self) -> Vec<(u32, u32)> {
        let supervisors = self.supervisors().into_iter();
        supervisors.flat_map(|sup| sup.children.iter().map(|child| (sup.id, child.spec.id))).collect()
    }

    pub(crate) fn pass(&mut self, slots: u32) {
        self.world.slot += slots;
    }

    pub(crate) fn fail_starts(&mut self, worker: u32, times: u32) {
        self.world.starts_to_fail.insert(worker, times);
    }

    fn ended(&mut self, id: u32, orderly: bool) {
        let root = self.root.as_mut().expect("invariant: operations are done to what is there");
        if let Err(GaveUp) = self.world.ended_below(root, id, orderly) {
            self.root = None;
            self.end = Some(ExitReason::Shutdown);
        }
    }

    pub(crate) fn end(&mut self, (id, life, _): (u32, u32, Manner), way: Way) {
        self.world.journal.push(Event::Ends(id, life));
        self.ended(id, way.is_orderly());
    }

    pub(crate) fn kill(&mut self, (id, life, _): (u32, u32, Manner)) {
        self.world.journal.push(Event::Cut(id, life));
        self.ended(id, false);
    }

    /// An exit signal of a stranger ends who doesn't trap exits, unless it is `normal`.
    pub(crate) fn signal(&mut self, (id, life, manner): (u32, u32, Manner), way: Way) {
        match (manner, way) {
            (Manner::Polite | Manner::Stubborn, _) | (Manner::Plain, Way::Normal) => {}
            (Manner::Plain, Way::Shutdown | Way::ShutdownWith | Way::Custom | Way::Panic) => {
                self.world.journal.push(Event::Cut(id, life));
                self.ended(id, way.is_orderly());
            }
        }
    }

    pub(crate) fn kill_supervisor(&mut self, id: u32) {
        if id == ROOT {
            let root = self.root.take().expect("invariant: operations are done to what is there");
            self.world.abandon(root);
            self.end = Some(ExitReason::Killed);
            return;
        }
        match self.child(id).life.take() {
            Some(Life::Supervisor(sup)) => self.world.abandon(sup),
            Some(Life::Worker(_)) | None => unreachable!("invariant: a supervisor that runs"),
        }
        self.ended(id, false);
    }

    fn parent(&mut self, id: u32) -> (&mut Sup, &mut World) {
        let root = self.root.as_mut().expect("invariant: operations are done to what is there");
        (root.find(id).expect("invariant: a child that is there"), &mut self.world)
    }

    fn child(&mut self, id: u32) -> &mut Child {
        let sup = self.parent(id).0;
        sup.children
            .iter_mut()
            .find(|child| child.spec.id == id)
            .expect("invariant: the supervisor that has it")
    }

    pub(crate) fn terminate(&mut self, id: u32) -> Answer {
        let (sup, world) = self.parent(id);
        let child = sup.children.iter_mut().find(|child| child.spec.id == id).expect("invariant: it has it");
        world.stop(child);
        sup.children.retain(|child| child.spec.id != id || child.spec.restart != Restart::Temporary);
        Answer::Done
    }

    pub(crate) fn restart(&mut self, id: u32) -> Answer {
        let (sup, world) = self.parent(id);
        let child = sup.children.iter_mut().find(|child| child.spec.id == id).expect("invariant: it has it");
        if child.life.is_some() {
            return Answer::Runs;
        }
        child.life = world.start(&child.spec);
        if child.life.is_none() {
            return Answer::NotStarted;
        }
        child.restarts += 1;
        Answer::Done
    }

    pub(crate) fn delete(&mut self, id: u32) -> Answer {
        if self.child(id).life.is_some() {
            return Answer::Runs;
        }
        self.parent(id).0.children.retain(|child| child.spec.id != id);
        Answer::Done
    }

    /// The spec with the id that it is added under.
    pub(crate) fn numbered(&mut self, to: u32, spec: Spec, taken: bool) -> Spec {
        let sups = self.supervisors();
        let sup = sups.iter().find(|sup| sup.id == to).expect("invariant: a supervisor that runs");
        if taken && let Some(first) = sup.children.first() {
            return Spec { id: first.spec.id, ..spec };
        }
        self.next_id += 1;
        Spec { id: self.next_id, ..spec }
    }

    pub(crate) fn add(&mut self, to: u32, spec: Spec) -> Answer {
        fn find(sup: &mut Sup, id: u32) -> Option<&mut Sup> {
            if sup.id == id {
                return Some(sup);
            }
            sup.children.iter_mut().find_map(|child| match &mut child.life {
                Some(Life::Supervisor(below)) => find(below, id),
                Some(Life::Worker(_)) | None => None,
            })
        }
        let root = self.root.as_mut().expect("invariant: operations are done to what is there");
        let sup = find(root, to).expect("invariant: a supervisor that runs");
        match sup.children.iter().find(|child| child.spec.id == spec.id) {
            Some(Child { life: Some(_), .. }) => return Answer::Runs,
            Some(Child { life: None, .. }) => return Answer::Present,
            None => {}
        }
        match self.world.start(&spec) {
            Some(life) => {
                sup.children.push(Child { spec, life: Some(life), restarts: 0 });
                Answer::Done
            }
            None => Answer::NotStarted,
        }
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut root) = self.root.take() {
            self.world.stop_all(&mut root);
            self.end = Some(ExitReason::Shutdown);
        }
    }
}
