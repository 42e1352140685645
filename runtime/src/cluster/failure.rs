//! Failure detection: what silence makes of a node.
//!
//! Pure: a table.

use std::time::Duration;

/// How long a node may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) suspect: Duration,
    pub(super) down: Duration,
    pub(super) permdown: Duration,
}

/// What a node is held to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is heard.
    Up,
    /// It was not heard for a while; it still counts as there.
    Suspect,
    /// It counts as lost. It may come back as what it was.
    Down,
    /// It counts as lost for good, and is forgotten.
    PermDown,
}

impl Patience {
    /// What a node that was silent for so long is.
    pub(super) fn judge(&self, silence: Duration) -> Standing {
        match silence {
            silence if silence >= self.permdown => Standing::PermDown,
            silence if silence >= self.down => Standing::Down,
            silence if silence >= self.suspect => Standing::Suspect,
            _ => Standing::Up,
        }
    }

    /// After which silence a node is more than that; `None` if there is no more.
    pub(super) fn until_worse(&self, standing: Standing) -> Option<Duration> {
        match standing {
            Standing::Up => Some(self.suspect),
            Standing::Suspect => Some(self.down),
            Standing::Down => Some(self.permdown),
            Standing::PermDown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_judged_at_its_bounds() {
        let seconds = Duration::from_secs;
        let patience = Patience { suspect: seconds(3), down: seconds(5), permdown: seconds(1200) };
        let table = [
            (0, Standing::Up),
            (2_999, Standing::Up),
            (3_000, Standing::Suspect),
            (4_999, Standing::Suspect),
            (5_000, Standing::Down),
            (1_199_999, Standing::Down),
            (1_200_000, Standing::PermDown),
            (u64::MAX, Standing::PermDown),
        ];
        for (silence_ms, standing) in table {
            let silence = Duration::from_millis(silence_ms);
            assert_eq!(patience.judge(silence), standing, "{silence:?}");
            // The next deadline is exactly where the judgement changes.
            if let Some(worse) = patience.until_worse(standing) {
                assert!(silence < worse && patience.judge(worse) > standing, "{silence:?}");
            }
        }
    }
}
