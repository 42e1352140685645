//! A list of processes as a tree.
//!
//! Pure: what the table showed comes in.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;

use crate::name::{Label, Name};
use crate::pid::Pid;
use crate::process::{ProcessKind, ProcessStats};

/// The processes of a node, depth first: after each process come those it spawned, in the order of spawning.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tree {
    /// The processes. A list with depths, not nested nodes: a chain of a million processes is no deeper for it.
    pub nodes: Vec<Node>,
}

/// One process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// How far from the root: 0 for a process that no living process spawned.
    pub depth: usize,
    /// Its identity.
    pub pid: Pid,
    /// What it is called.
    pub label: Label,
    /// The name it is registered under.
    pub name: Option<Name>,
    /// Whether it is a supervisor.
    pub supervisor: bool,
    /// How often the child that it is was started again.
    pub restarts: u32,
    /// Messages that wait in its mailbox.
    pub mailbox_len: usize,
    /// The most messages that ever waited.
    pub mailbox_len_max: usize,
    /// Messages and signals taken out of its mailbox.
    pub handled: u64,
    /// How many processes it is linked with.
    pub links: usize,
    /// How many processes it monitors.
    pub monitors: usize,
    /// How long it has lived.
    pub age: Duration,
}

impl Tree {
    /// Orders what the table showed; a process whose parent is not in it is a root.
    pub(crate) fn of(processes: Vec<ProcessStats>, now: Instant) -> Self {
        let position: HashMap<Pid, usize> =
            processes.iter().enumerate().map(|(at, process)| (process.pid, at)).collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); processes.len()];
        let mut roots = Vec::new();
        for (at, process) in processes.iter().enumerate() {
            match process.parent.and_then(|parent| position.get(&parent)) {
                Some(parent) => children[*parent].push(at),
                None => roots.push(at),
            }
        }
        let mut nodes = Vec::with_capacity(processes.len());
        let mut open: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
        while let Some((at, depth)) = open.pop() {
            nodes.push(Node::of(&processes[at], depth, now));
            open.extend(children[at].iter().rev().map(|child| (*child, depth + 1)));
        }
        Self { nodes }
    }
}

impl Node {
    fn of(process: &ProcessStats, depth: usize, now: Instant) -> Self {
        Self {
            depth,
            pid: process.pid,
            label: process.label.clone(),
            name: process.name.clone(),
            supervisor: process.kind == ProcessKind::Supervisor,
            restarts: process.restarts,
            mailbox_len: process.mailbox_len,
            mailbox_len_max: process.mailbox_len_max,
            handled: process.handled,
            links: process.links,
            monitors: process.monitors,
            age: now.saturating_duration_since(process.started_at),
        }
    }
}
