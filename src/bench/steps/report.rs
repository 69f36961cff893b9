//! The figures of a step, for people or as JSON.

use serde_json::{Map, Value, json};

use crate::bench::report::{counts, grouped, rounded, verification};
use crate::bench::sequence::Verdict;
use crate::bench::steps::watch::Sample;

/// What a step measured: figures with their unit in the name, in the order in which they came up.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<(&'static str, f64)>,
    /// How memory and disk went, where that is of interest.
    pub(super) samples: Vec<Sample>,
    pub(crate) verdict: Verdict,
}

impl Report {
    /// Adds a figure.
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.figures.push((name, value));
    }

    /// Adds a figure, if it could be measured.
    pub(super) fn add_known(&mut self, name: &'static str, value: Option<f64>) {
        self.figures.extend(value.map(|value| (name, value)));
    }

    /// The figures for people, one a line.
    pub(crate) fn text(&self, step: &str) -> String {
        let mut lines = vec![step.to_owned()];
        for (name, value) in &self.figures {
            lines.push(format!("   {name:32} {:>14}", readable(*value)));
        }
        for sample in &self.samples {
            let values = sample.values().into_iter().filter_map(known);
            let values: Vec<_> =
                values.map(|(name, value)| format!("{name} {}", readable(value))).collect();
            lines.push(format!("   {:6.1} s: {}", sample.seconds, values.join(", ")));
        }
        lines.push(format!("   {}", verification(&self.verdict)));
        lines.join("\n")
    }

    /// Everything as one JSON object.
    pub(crate) fn json(&self, step: &str) -> String {
        let figures: Map<_, _> = self
            .figures
            .iter()
            .map(|(name, value)| ((*name).to_owned(), rounded(*value)))
            .collect();
        let samples: Vec<_> = self.samples.iter().map(sample_object).collect();
        let verdict = counts(&self.verdict);
        json!({ "step": step, "figures": figures, "samples": samples, "verdict": verdict })
            .to_string()
    }
}

fn sample_object(sample: &Sample) -> Value {
    let mut object = Map::from_iter([("seconds".to_owned(), rounded(sample.seconds))]);
    for (name, value) in sample.values().into_iter().filter_map(known) {
        object.insert(name.to_owned(), rounded(value));
    }
    Value::Object(object)
}

fn known((name, value): (&'static str, Option<f64>)) -> Option<(&'static str, f64)> {
    value.map(|value| (name, value))
}

fn readable(value: f64) -> String {
    if value.abs() >= 1000.0 { grouped(value) } else { format!("{value:.3}") }
}
