//! To be replaced.
#![allow(missing_docs)]
mod entity;
use amq_protocol::types::FieldTable;
pub use entity::{Destination, Exchange};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    Headers,
}
impl ExchangeKind {
    pub fn name(self) -> &'static str {
        "direct"
    }
}
pub trait MessageHeaders {
    fn headers(&self) -> Option<FieldTable>;
}
pub struct Bindings<D> {
    all: Vec<(D, String, FieldTable)>,
}
impl<D: Clone + Eq> Bindings<D> {
    pub fn new(_: ExchangeKind) -> Self {
        Self { all: Vec::new() }
    }
    pub fn bind(&mut self, key: &str, a: &FieldTable, d: D) -> bool {
        self.all.push((d, key.to_owned(), a.clone()));
        true
    }
    pub fn unbind(&mut self, key: &str, a: &FieldTable, d: &D) -> bool {
        let n = self.all.len();
        self.all.retain(|(x, k, y)| !(x == d && k == key && y == a));
        n != self.all.len()
    }
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&D, &str, &FieldTable)> {
        self.all.iter().map(|(d, k, a)| (d, k.as_str(), a))
    }
    pub fn route(&self, key: &str, _: &dyn MessageHeaders, f: &mut dyn FnMut(&D)) {
        for (d, k, _) in &self.all {
            if k == key {
                f(d);
            }
        }
    }
}
