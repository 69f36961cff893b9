//! To be replaced.
#![allow(missing_docs)]
use super::exchange::ExchangeKind;
use amq_protocol::types::FieldTable;
#[derive(Clone, Debug, Default)]
pub struct QueueOptions {
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub arguments: FieldTable,
}
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    pub kind: ExchangeKind,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub alternate_exchange: Option<String>,
    pub arguments: FieldTable,
}
impl ExchangeOptions {
    pub fn new(kind: ExchangeKind) -> Self {
        Self {
            kind,
            durable: false,
            auto_delete: false,
            internal: false,
            alternate_exchange: None,
            arguments: FieldTable::default(),
        }
    }
}
