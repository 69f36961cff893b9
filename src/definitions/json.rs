//! JSON with places: whoever finds something wrong says where it stands.
//!
//! A place is the name of the file and the path inside it, as in `export.json: queues[3].arguments`.

use std::fmt;

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use serde_json::{Map, Value};

use crate::limits;

/// Definitions that cannot be brought in: where, and why, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionsError {
    place: String,
    problem: String,
}

impl DefinitionsError {
    pub(super) fn at(place: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { place: place.into(), problem: problem.to_string() }
    }
}

impl fmt::Display for DefinitionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for DefinitionsError {}

/// The outcome of reading.
pub(super) type Read<T> = Result<T, DefinitionsError>;

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) path: String,
    value: &'a Value,
}

impl<'a> Place<'a> {
    /// The whole of a file.
    pub(super) fn root(file: &str, value: &'a Value) -> Self {
        Self { path: format!("{file}: "), value }
    }

    pub(super) fn refuse(&self, problem: impl fmt::Display) -> DefinitionsError {
        let path = self.path.trim_end_matches([' ', ':']);
        DefinitionsError::at(path, problem)
    }

    /// The fields of an object.
    pub(super) fn fields(&self) -> Read<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    /// The field of an object, if it is there and not null.
    pub(super) fn field(&self, key: &str) -> Option<Place<'a>> {
        let value = self.value.as_object()?.get(key).filter(|value| !value.is_null())?;
        let dot = if self.path.ends_with(' ') { "" } else { "." };
        Some(Place { path: format!("{}{dot}{key}", self.path), value })
    }

    /// The elements of a list that stands in a field; none if there is no such field.
    pub(super) fn list(&self, key: &str) -> Read<Vec<Place<'a>>> {
        let Some(list) = self.field(key) else { return Ok(Vec::new()) };
        list.elements()
    }

    pub(super) fn elements(&self) -> Read<Vec<Place<'a>>> {
        let values = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        let element = |(at, value)| Place { path: format!("{}[{at}]", self.path), value };
        Ok(values.iter().enumerate().map(element).collect())
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn text(&self) -> Read<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a text"))
    }

    /// The text of a field that must be there.
    pub(super) fn text_of(&self, key: &str) -> Read<&'a str> {
        let field = self.field(key).ok_or_else(|| self.refuse(format!("needs a {key}")))?;
        field.text()
    }

    /// The text of a field, or this.
    pub(super) fn text_or<'b>(&self, key: &str, otherwise: &'b str) -> Read<&'b str>
    where
        'a: 'b,
    {
        self.field(key).map_or(Ok(otherwise), |field| field.text())
    }

    /// The truth of a field, or this.
    pub(super) fn flag_or(&self, key: &str, otherwise: bool) -> Read<bool> {
        let Some(field) = self.field(key) else { return Ok(otherwise) };
        field.value.as_bool().ok_or_else(|| field.expected("true or false"))
    }

    pub(super) fn integer(&self) -> Read<i64> {
        self.value.as_i64().ok_or_else(|| self.expected("a whole number"))
    }

    /// An AMQP table: integers are 64 bits wide and texts long strings, as in RabbitMQ. An empty list is an empty
    /// table, and a list of pairs a table too: RabbitMQ's command line writes both. It is nested no deeper than one
    /// that comes over the wire, because the log takes back no more than that.
    pub(super) fn table(&self) -> Read<FieldTable> {
        self.table_at(1)
    }

    fn table_at(&self, depth: usize) -> Read<FieldTable> {
        let mut table = FieldTable::default();
        for (key, value) in self.pairs()? {
            let name = ShortString::try_new(key.as_str());
            let name = name.map_err(|_| value.refuse("the key is longer than 255 bytes"))?;
            table.insert(name, value.amqp(depth)?);
        }
        Ok(table)
    }

    /// The entries of an object, or of a list of pairs.
    pub(super) fn pairs(&self) -> Read<Vec<(String, Place<'a>)>> {
        if let Value::Object(fields) = self.value {
            let pair = |(key, value)| {
                let key: &String = key;
                (key.clone(), Place { path: format!("{}.{key}", self.path), value })
            };
            return Ok(fields.iter().map(pair).collect());
        }
        let pair = |element: Place<'a>| match element.elements()?.as_slice() {
            [key, value] => Ok((key.text()?.to_owned(), value.clone())),
            _ => Err(element.expected("a pair of key and value")),
        };
        self.elements().map_err(|_| self.expected("an object"))?.into_iter().map(pair).collect()
    }

    /// A value in a table or list of this depth; the outermost is the first.
    fn amqp(&self, depth: usize) -> Read<AMQPValue> {
        let nests = self.value.is_array() || self.value.is_object();
        if nests && depth >= limits::TABLE_DEPTH_MAX {
            return Err(self.refuse(format!("is nested deeper than {}", limits::TABLE_DEPTH_MAX)));
        }
        Ok(match self.value {
            Value::Null => AMQPValue::Void,
            Value::Bool(flag) => AMQPValue::Boolean(*flag),
            Value::String(text) => AMQPValue::LongString(text.as_str().into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => AMQPValue::LongLongInt(number),
                (None, Some(number)) if !self.value.is_u64() => AMQPValue::Double(number),
                _ => return Err(self.refuse(format!("{number} is too large"))),
            },
            Value::Array(_) => {
                let elements = self.elements()?;
                let values = elements.iter().map(|element| element.amqp(depth + 1));
                let values: Vec<_> = values.collect::<Read<_>>()?;
                AMQPValue::FieldArray(FieldArray::from(values))
            }
            Value::Object(_) => AMQPValue::FieldTable(self.table_at(depth + 1)?),
        })
    }

    fn expected(&self, what: &str) -> DefinitionsError {
        // The value is not shown: it may be a secret in the wrong place.
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.refuse(format!("expected {what}, found {found}"))
    }
}
