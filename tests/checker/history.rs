//! Where clients note what they do and hear, in the order in which it happens.

#![allow(clippy::disallowed_types, reason = "tests have no lock order to keep")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{ClientId, Event};

/// Shared by all clients. Clones are the same history.
#[derive(Clone, Debug, Default)]
pub struct History {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    clients: ClientId,
}

impl History {
    /// A number for a new connection.
    pub fn next_client(&self) -> ClientId {
        self.with(|inner| {
            inner.clients += 1;
            inner.clients
        })
    }

    pub fn note(&self, event: Event) {
        self.with(|inner| inner.events.push(event));
    }

    /// What was noted since this was asked last.
    pub fn take(&self) -> Vec<Event> {
        self.with(|inner| std::mem::take(&mut inner.events))
    }

    /// One line an event.
    pub fn write(events: &[Event], path: &Path) -> std::io::Result<()> {
        let mut text = String::new();
        for event in events {
            // A string takes everything.
            let _ = writeln!(text, "{event}");
        }
        std::fs::write(path, text)
    }

    pub fn read(path: &Path) -> Result<Vec<Event>, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        text.lines().map(str::parse).collect()
    }

    fn with<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // A client that panicked has noted whole events.
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
