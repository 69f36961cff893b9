//! Values of which most are like the one before: declared in a row, they are kept once.

use std::sync::Arc;

use crate::sync::{RankedMutex, rank};

/// Remembers the last value, and gives out the same for every equal one.
pub(super) struct Interned<T> {
    last: RankedMutex<{ rank::LEAF }, Option<Arc<T>>>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { last: RankedMutex::new(None) }
    }
}

impl<T: PartialEq> Interned<T> {
    /// The value, shared if it is the one of the last call.
    pub(super) fn share(&self, value: T) -> Arc<T> {
        let mut last = self.last.lock();
        if let Some(same) = last.as_ref().filter(|last| ***last == value) {
            return Arc::clone(same);
        }
        let value = Arc::new(value);
        *last = Some(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_in_a_row_are_one() {
        let interned = Interned::default();
        let (one, same, other) = (interned.share("a"), interned.share("a"), interned.share("b"));
        assert!(Arc::ptr_eq(&one, &same));
        assert_eq!(*other, "b");
    }
}
