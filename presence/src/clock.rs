//! The clock of an owner: how many changes it has made. Each change is one turn.
//!
//! Pure: numbers. The clock has nothing to do with time.

/// A stretch of an owner's history: the changes after `from`, up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// How a stretch of history lies to what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// All of it is known.
    Known,
    /// It begins where the knowledge ends.
    Next,
    /// Something between the two is missing, or it overlaps.
    Gap,
}

impl Interval {
    /// To somebody who knows the history up to `clock`.
    pub(crate) fn fit(self, clock: u64) -> Fit {
        match self {
            Self { to, .. } if to <= clock => Fit::Known,
            Self { from, .. } if from == clock => Fit::Next,
            Self { .. } => Fit::Gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_known_or_next_or_leaves_a_gap() {
        for (from, to, clock, want) in [
            (0, 0, 0, Fit::Known),
            (0, 3, 0, Fit::Next),
            (0, 3, 3, Fit::Known),
            (0, 3, 7, Fit::Known),
            (3, 5, 3, Fit::Next),
            (3, 5, 2, Fit::Gap),
            (3, 5, 4, Fit::Gap),
        ] {
            assert_eq!(Interval { from, to }.fit(clock), want, "({from}, {to}] at {clock}");
        }
    }
}
