//! Rows of refusals: the first is told at once, the rest by its number when the row is over.
//!
//! Pure: a counter.

use super::super::PublishError;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The error of the row, and how many of it have not been told.
    row: Option<(PublishError, u64)>,
}

/// An error and how many frames were refused with it.
pub(super) type Told = (PublishError, u64);

impl Refusals {
    /// One more; what is to be told now.
    pub(super) fn refuse(&mut self, error: &PublishError) -> [Option<Told>; 2] {
        match &mut self.row {
            Some((same, untold)) if same == error => {
                *untold += 1;
                [None, None]
            }
            Some(_) | None => [self.over(), self.begin(error)],
        }
    }

    /// The row is over, if there is one; what is to be told of it.
    pub(super) fn over(&mut self) -> Option<Told> {
        self.row.take().filter(|(_, untold)| *untold > 0)
    }

    fn begin(&mut self, error: &PublishError) -> Option<Told> {
        self.row = Some((error.clone(), 0));
        Some((error.clone(), 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_told_when_it_begins_and_when_it_is_over() {
        let mut refusals = Refusals::default();
        let (full, down) = (PublishError::Full, PublishError::Disconnected);
        assert_eq!(refusals.refuse(&full), [None, Some((full.clone(), 1))]);
        assert_eq!(refusals.refuse(&full), [None, None]);
        assert_eq!(refusals.refuse(&full), [None, None]);
        assert_eq!(refusals.refuse(&down), [Some((full, 2)), Some((down, 1))]);
        assert_eq!(refusals.over(), None, "the only one of its row was told");
        assert_eq!(refusals.over(), None);
    }
}
