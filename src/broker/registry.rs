//! Names to things, for everybody at once. The only file that names dashmap.
//!
//! **Invariant:** `Arc`s leave this file, guards never do.

use std::sync::Arc;

use dashmap::DashMap;

/// See the module.
pub(super) struct Registry<T> {
    by_name: DashMap<Arc<str>, Arc<T>>,
}

impl<T> Registry<T> {
    pub(super) fn new() -> Self {
        // Few shards: an idle broker should be small, and lookups are cached by their callers.
        Self { by_name: DashMap::with_shard_amount(8) }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<T>> {
        self.by_name.get(name).map(|found| Arc::clone(found.value()))
    }

    pub(super) fn insert(&self, name: Arc<str>, thing: Arc<T>) {
        self.by_name.insert(name, thing);
    }

    /// What has this name, made now if nothing had; and whether it was.
    pub(super) fn get_or_make(&self, name: &str, make: impl FnOnce() -> T) -> (Arc<T>, bool) {
        let mut is_new = false;
        let entry = self.by_name.entry(Arc::from(name)).or_insert_with(|| {
            is_new = true;
            Arc::new(make())
        });
        (Arc::clone(entry.value()), is_new)
    }

    pub(super) fn remove(&self, name: &str) {
        self.by_name.remove(name);
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Everything there is, in no order.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.by_name.iter().map(|found| Arc::clone(found.value())).collect()
    }
}
