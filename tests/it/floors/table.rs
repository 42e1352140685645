//! The table: which top-level module of which crate lives on which floor. This is the place to edit.
//!
//! Floors from the ground up; within a floor a module may import those listed before it.

/// One crate and its floors.
pub(super) struct Crate {
    /// The folder of its sources, from the workspace's root.
    pub(super) folder: &'static str,
    /// The letter of its floors.
    pub(super) letter: char,
    /// The modules of each floor, lowest floor first, in the order in which they may import each other.
    pub(super) floors: &'static [&'static [&'static str]],
}

pub(super) const RUNTIME: Crate = Crate {
    folder: "runtime/src",
    letter: 'R',
    floors: &[
        &["exit", "pid", "name", "node", "codec", "sync", "clock", "unwind", "telemetry"],
        &["process"],
        &["timer", "task", "server"],
        &["supervisor", "registry", "group"],
        &["engine", "cluster"],
        &["pubsub", "stage", "ractor"],
        &["application", "inspect", "chaos"],
        &["testing", "prelude", "guides", "lib"],
    ],
};

pub(super) const CHANNELS: Crate = Crate {
    folder: "channels/src",
    letter: 'C',
    floors: &[
        &["message", "topic", "vsn", "close", "token", "params", "rate", "serializer", "body", "cookie"],
        &["socket"],
        &["channel", "raw", "jwt"],
        &["transport"],
        &["endpoint"],
        &["testing", "prelude", "guides", "lib"],
    ],
};

pub(super) const PRESENCE: Crate = Crate {
    folder: "presence/src",
    letter: 'P',
    floors: &[
        &["meta", "entry", "limits", "clock", "replica"],
        &["delta", "state", "diff"],
        &["shard"],
        &["tracker"],
        &["presence"],
        &["testing", "guides", "lib"],
    ],
};
