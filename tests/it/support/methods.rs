//! Methods by name. One line a method in [`METHODS`]; encoding, decoding, comparison and failure texts follow from it.

use std::fmt;

use super::fields::{Table, put_short, take, take_long, take_short, with_length};

/// Name, class, method, fields. Kinds: `b` bit, `o` `w` `l` `L` unsigned of 1, 2, 4, 8 octets, `s` short and `S` long
/// string, `T` table.
const METHODS: &[(&str, u16, u16, &str)] = &[
    ("connection.start", 10, 10, "major:o minor:o server_properties:T mechanisms:S locales:S"),
    ("connection.start-ok", 10, 11, "client_properties:T mechanism:s response:S locale:s"),
    ("connection.secure", 10, 20, "challenge:S"),
    ("connection.secure-ok", 10, 21, "response:S"),
    ("connection.tune", 10, 30, "channel_max:w frame_max:l heartbeat:w"),
    ("connection.tune-ok", 10, 31, "channel_max:w frame_max:l heartbeat:w"),
    ("connection.open", 10, 40, "vhost:s reserved1:s reserved2:b"),
    ("connection.open-ok", 10, 41, "reserved1:s"),
    ("connection.close", 10, 50, "code:w text:s class:w method:w"),
    ("connection.close-ok", 10, 51, ""),
    ("connection.blocked", 10, 60, "reason:s"),
    ("connection.unblocked", 10, 61, ""),
    ("connection.update-secret", 10, 70, "new_secret:S reason:s"),
    ("connection.update-secret-ok", 10, 71, ""),
    ("channel.open", 20, 10, "reserved1:s"),
    ("channel.open-ok", 20, 11, "reserved1:S"),
    ("channel.flow", 20, 20, "active:b"),
    ("channel.flow-ok", 20, 21, "active:b"),
    ("channel.close", 20, 40, "code:w text:s class:w method:w"),
    ("channel.close-ok", 20, 41, ""),
    ("access.request", 30, 10, "realm:s exclusive:b passive:b active:b write:b read:b"),
    ("access.request-ok", 30, 11, "ticket:w"),
    (
        "exchange.declare",
        40,
        10,
        "ticket:w exchange:s type:s passive:b durable:b auto_delete:b internal:b nowait:b arguments:T",
    ),
    ("exchange.declare-ok", 40, 11, ""),
    ("exchange.delete", 40, 20, "ticket:w exchange:s if_unused:b nowait:b"),
    ("exchange.delete-ok", 40, 21, ""),
    ("exchange.bind", 40, 30, "ticket:w destination:s source:s routing_key:s nowait:b arguments:T"),
    ("exchange.bind-ok", 40, 31, ""),
    (
        "exchange.unbind",
        40,
        40,
        "ticket:w destination:s source:s routing_key:s nowait:b arguments:T",
    ),
    ("exchange.unbind-ok", 40, 51, ""),
    (
        "queue.declare",
        50,
        10,
        "ticket:w queue:s passive:b durable:b exclusive:b auto_delete:b nowait:b arguments:T",
    ),
    ("queue.declare-ok", 50, 11, "queue:s message_count:l consumer_count:l"),
    ("queue.bind", 50, 20, "ticket:w queue:s exchange:s routing_key:s nowait:b arguments:T"),
    ("queue.bind-ok", 50, 21, ""),
    ("queue.purge", 50, 30, "ticket:w queue:s nowait:b"),
    ("queue.purge-ok", 50, 31, "message_count:l"),
    ("queue.delete", 50, 40, "ticket:w queue:s if_unused:b if_empty:b nowait:b"),
    ("queue.delete-ok", 50, 41, "message_count:l"),
    ("queue.unbind", 50, 50, "ticket:w queue:s exchange:s routing_key:s arguments:T"),
    ("queue.unbind-ok", 50, 51, ""),
    ("basic.qos", 60, 10, "prefetch_size:l prefetch_count:w global:b"),
    ("basic.qos-ok", 60, 11, ""),
    (
        "basic.consume",
        60,
        20,
        "ticket:w queue:s consumer_tag:s no_local:b no_ack:b exclusive:b nowait:b arguments:T",
    ),
    ("basic.consume-ok", 60, 21, "consumer_tag:s"),
    ("basic.cancel", 60, 30, "consumer_tag:s nowait:b"),
    ("basic.cancel-ok", 60, 31, "consumer_tag:s"),
    ("basic.publish", 60, 40, "ticket:w exchange:s routing_key:s mandatory:b immediate:b"),
    ("basic.return", 60, 50, "code:w text:s exchange:s routing_key:s"),
    (
        "basic.deliver",
        60,
        60,
        "consumer_tag:s delivery_tag:L redelivered:b exchange:s routing_key:s",
    ),
    ("basic.get", 60, 70, "ticket:w queue:s no_ack:b"),
    (
        "basic.get-ok",
        60,
        71,
        "delivery_tag:L redelivered:b exchange:s routing_key:s message_count:l",
    ),
    ("basic.get-empty", 60, 72, "reserved1:s"),
    ("basic.ack", 60, 80, "delivery_tag:L multiple:b"),
    ("basic.reject", 60, 90, "delivery_tag:L requeue:b"),
    ("basic.recover-async", 60, 100, "requeue:b"),
    ("basic.recover", 60, 110, "requeue:b"),
    ("basic.recover-ok", 60, 111, ""),
    ("basic.nack", 60, 120, "delivery_tag:L multiple:b requeue:b"),
    ("confirm.select", 85, 10, "nowait:b"),
    ("confirm.select-ok", 85, 11, ""),
    ("tx.select", 90, 10, ""),
    ("tx.select-ok", 90, 11, ""),
    ("tx.commit", 90, 20, ""),
    ("tx.commit-ok", 90, 21, ""),
    ("tx.rollback", 90, 30, ""),
    ("tx.rollback-ok", 90, 31, ""),
];

/// What stands in one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Number(u64),
    Bit(bool),
    Table(Table),
}

/// A method with its fields; compares and prints by name.
#[derive(Clone, PartialEq)]
pub struct Method {
    pub name: &'static str,
    pub class: u16,
    pub id: u16,
    fields: Vec<(&'static str, char, Value)>,
}

/// The method of this name with every field zero or empty.
pub fn method(name: &str) -> Method {
    let line = METHODS.iter().find(|line| line.0 == name);
    let &(name, class, id, fields) = line.unwrap_or_else(|| panic!("no method {name}"));
    let fields = fields.split_whitespace().map(|field| {
        let (field, kind) = field.split_once(':').unwrap();
        let kind = kind.chars().next().unwrap();
        (field, kind, empty(kind))
    });
    Method { name, class, id, fields: fields.collect() }
}

impl Method {
    #[must_use]
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        let name = self.name;
        let place = self.fields.iter_mut().find(|(name, ..)| *name == field);
        place.unwrap_or_else(|| panic!("{name} has no field {field}")).2 = value.into();
        self
    }

    /// Sets a bit.
    #[must_use]
    pub fn on(self, bit: &str) -> Self {
        self.set(bit, true)
    }

    pub fn number(&self, field: &str) -> u64 {
        match self.value(field) {
            Value::Number(number) => *number,
            other => panic!("{field} of {} is {other:?}", self.name),
        }
    }

    pub fn text(&self, field: &str) -> &str {
        match self.value(field) {
            Value::Text(text) => text,
            other => panic!("{field} of {} is {other:?}", self.name),
        }
    }

    pub fn bit(&self, field: &str) -> bool {
        self.value(field) == &Value::Bit(true)
    }

    pub fn table(&self, field: &str) -> &Table {
        match self.value(field) {
            Value::Table(table) => table,
            other => panic!("{field} of {} is {other:?}", self.name),
        }
    }

    fn value(&self, field: &str) -> &Value {
        let found = self.fields.iter().find(|(name, ..)| *name == field);
        &found.unwrap_or_else(|| panic!("{} has no field {field}", self.name)).2
    }

    /// The payload of its frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = [self.class.to_be_bytes(), self.id.to_be_bytes()].concat();
        let mut bits = 0;
        for (_, kind, value) in &self.fields {
            if *kind != 'b' {
                bits = 0;
            }
            match (kind, value) {
                ('b', Value::Bit(bit)) => put_bit(&mut out, &mut bits, *bit),
                ('s', Value::Text(text)) => put_short(&mut out, text),
                ('S', Value::Text(text)) => out.extend(with_length(text.as_bytes())),
                ('T', Value::Table(table)) => out.extend(table.encode()),
                (_, Value::Number(number)) => {
                    out.extend(&number.to_be_bytes()[8 - octets(*kind)..]);
                }
                (_, other) => panic!("{} cannot carry {other:?}", self.name),
            }
        }
        out
    }

    /// # Panics
    /// When the payload is not exactly one method.
    pub fn decode(payload: &[u8]) -> Self {
        let mut input = payload;
        let (class, id) =
            (u16::from_be_bytes(take(&mut input)), u16::from_be_bytes(take(&mut input)));
        let line = METHODS.iter().find(|line| (line.1, line.2) == (class, id));
        let mut decoded = method(line.unwrap_or_else(|| panic!("the broker sent {class}.{id}")).0);
        let (mut bits, mut octet) = (0, 0);
        for (_, kind, value) in &mut decoded.fields {
            if *kind == 'b' {
                if bits == 0 {
                    octet = take::<1>(&mut input)[0];
                }
                *value = Value::Bit(octet & (1 << bits) != 0);
                bits += 1;
                continue;
            }
            bits = 0;
            *value = match kind {
                's' => Value::Text(take_short(&mut input)),
                'S' => Value::Text(take_long(&mut input)),
                'T' => Value::Table(Table::decode(&mut input)),
                _ => Value::Number(take_number(&mut input, octets(*kind))),
            };
        }
        assert!(input.is_empty(), "{decoded:?} is followed by {input:?}");
        decoded
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        let mut fields = f.debug_map();
        for (name, _, value) in &self.fields {
            match value {
                Value::Text(text) => fields.entry(name, text),
                Value::Number(number) => fields.entry(name, number),
                Value::Bit(bit) => fields.entry(name, bit),
                Value::Table(table) => fields.entry(name, table),
            };
        }
        fields.finish()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(bit: bool) -> Self {
        Self::Bit(bit)
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

fn empty(kind: char) -> Value {
    match kind {
        'b' => Value::Bit(false),
        's' | 'S' => Value::Text(String::new()),
        'T' => Value::Table(Table::default()),
        _ => Value::Number(0),
    }
}

fn octets(kind: char) -> usize {
    match kind {
        'o' => 1,
        'w' => 2,
        'l' => 4,
        _ => 8,
    }
}

fn put_bit(out: &mut Vec<u8>, bits: &mut u8, bit: bool) {
    if *bits == 0 {
        out.push(0);
    }
    *out.last_mut().unwrap() |= u8::from(bit) << *bits;
    *bits += 1;
}

fn take_number(input: &mut &[u8], octets: usize) -> u64 {
    (0..octets).fold(0, |number, _| number << 8 | u64::from(take::<1>(input)[0]))
}
