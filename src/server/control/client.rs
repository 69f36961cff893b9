//! The side that asks. It blocks: it is for commands, not for the broker.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use super::SOCKET;
use super::place::Place;
use crate::limits;

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// No broker has this directory.
    NoBroker,
    /// The broker says no.
    Refused(String),
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for AskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBroker => write!(formatter, "no broker has the directory"),
            Self::Refused(why) => why.fmt(formatter),
            Self::Io(error) => write!(formatter, "the broker cannot be asked ({error})"),
        }
    }
}

impl std::error::Error for AskError {}

/// Sends one request to the broker that has `data_dir` and waits for the answer, for as long as it takes.
pub fn ask(data_dir: &Path, request: &Value) -> Result<Value, AskError> {
    let connected = Place::of(data_dir).and_then(|place| place.connect(SOCKET));
    // Refused: the name is left from a broker that was killed.
    let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    let mut broker = connected.map_err(|error| {
        if nobody.contains(&error.kind()) { AskError::NoBroker } else { AskError::Io(error) }
    })?;
    broker.write_all(format!("{request}\n").as_bytes()).map_err(AskError::Io)?;
    let mut line = String::new();
    BufReader::new(broker).take(limits::CONTROL_LINE).read_line(&mut line).map_err(AskError::Io)?;
    if line.is_empty() {
        let what = "the broker hung up before it answered";
        return Err(AskError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
    }
    let answer: Value = serde_json::from_str(&line).map_err(|error| AskError::Io(error.into()))?;
    match (answer.get("ok"), answer.get("error").and_then(Value::as_str)) {
        (Some(ok), _) => Ok(ok.clone()),
        (None, error) => Err(AskError::Refused(error.unwrap_or("no reason given").to_owned())),
    }
}
