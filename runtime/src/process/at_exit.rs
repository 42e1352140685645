//! Who lets go of what it keeps for a process when the process ends: registries and groups.
//!
//! A keeper is added once for each process, however much it keeps for it, and held weakly. So the list is no longer
//! than the number of registries and groups that the process is in, needs nothing to be taken out of it when an entry
//! goes, and keeps no registry alive; and an entry that knows an address makes no cycle with it.

use std::sync::Weak;

use crate::pid::Pid;
use crate::unwind::quietly;

/// Keeps something in the name of processes.
pub(crate) trait Keeper: Send + Sync {
    /// The process ends: let go. Nobody can see its end yet, and whoever will must not find anything of it here. No
    /// lock is held.
    fn let_go(&self, pid: Pid);
}

/// The keepers of one process.
#[derive(Default)]
pub(super) struct Keepers(Vec<Weak<dyn Keeper>>);

impl Keepers {
    /// Adds a keeper, unless it is there; those that are gone make room.
    pub(super) fn add(&mut self, keeper: Weak<dyn Keeper>) {
        if self.0.iter().any(|known| known.ptr_eq(&keeper)) {
            return;
        }
        self.0.retain(|known| known.strong_count() > 0);
        self.0.push(keeper);
    }

    /// Has all of them let go. A panic (in a destructor of the user's, say) ends with its keeper's turn: the others
    /// and those who wait for the news of this end get theirs.
    pub(super) fn let_go(self, pid: Pid) {
        for keeper in self.0 {
            quietly(|| {
                if let Some(keeper) = keeper.upgrade() {
                    keeper.let_go(pid);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
