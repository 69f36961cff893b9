//! Whether what was counted is what was recorded.

use std::collections::BTreeSet;
use std::fmt;

use crate::callgrind::PROFILES;
use crate::record::Record;

/// How much worse a count may be, in the environment it was recorded in; and how much better without a remark.
const TOLERANCE: f64 = 0.05;
/// How much worse elsewhere: another compiler or C library does things in another way.
const TOLERANCE_ELSEWHERE: f64 = 0.15;

/// See the module.
pub(crate) struct Verdict<'a> {
    recorded: &'a Record,
    counted: &'a Record,
    rows: Vec<Row<'a>>,
}

/// One scenario, then and now.
struct Row<'a> {
    name: &'a str,
    change: Change,
}

enum Change {
    NotRecorded { now: f64 },
    NoScenario { then: f64 },
    Both { then: f64, now: f64, judgement: Judgement },
}

#[derive(PartialEq, Eq)]
enum Judgement {
    Worse,
    Same,
    Better,
}

impl<'a> Verdict<'a> {
    /// Compares all that was counted with the record, and with `is_whole` all of the record with it.
    pub(crate) fn new(recorded: &'a Record, counted: &'a Record, is_whole: bool) -> Self {
        let tolerance = tolerance(recorded, counted);
        let mut names: BTreeSet<_> = counted.instructions.keys().collect();
        if is_whole {
            names.extend(recorded.instructions.keys());
        }
        let change = |name| match (recorded.instructions.get(name), counted.instructions.get(name))
        {
            (Some(&then), Some(&now)) => {
                Some(Change::Both { then, now, judgement: judge(now / then - 1.0, tolerance) })
            }
            (None, Some(&now)) => Some(Change::NotRecorded { now }),
            (Some(&then), None) => Some(Change::NoScenario { then }),
            (None, None) => None,
        };
        let rows = names.into_iter().filter_map(|name| Some(Row { name, change: change(name)? }));
        Self { recorded, counted, rows: rows.collect() }
    }

    /// Something costs more than it may, or nobody knows what it may cost.
    pub(crate) fn is_failure(&self) -> bool {
        self.rows.iter().any(|row| match &row.change {
            Change::NotRecorded { .. } | Change::NoScenario { .. } => true,
            Change::Both { judgement, .. } => *judgement == Judgement::Worse,
        })
    }

    /// Nothing to say.
    fn is_as_recorded(&self) -> bool {
        self.rows
            .iter()
            .all(|row| matches!(row.change, Change::Both { judgement: Judgement::Same, .. }))
    }
}

fn tolerance(recorded: &Record, counted: &Record) -> f64 {
    if recorded.environment == counted.environment { TOLERANCE } else { TOLERANCE_ELSEWHERE }
}

fn judge(change: f64, tolerance: f64) -> Judgement {
    if change > tolerance {
        Judgement::Worse
    } else if change < -TOLERANCE {
        Judgement::Better
    } else {
        Judgement::Same
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = tolerance(self.recorded, self.counted) * 100.0;
        if self.recorded.environment != self.counted.environment {
            writeln!(f, "Recorded in another environment:")?;
            writeln!(f, "  then {:?}", self.recorded.environment)?;
            writeln!(f, "  now  {:?}", self.counted.environment)?;
        }
        writeln!(f, "{:26} {:>10} {:>10}   fails above +{percent:.0} %", "", "recorded", "now")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        if self.is_as_recorded() {
            return Ok(());
        }
        writeln!(f, "Where the instructions go: callgrind_annotate {PROFILES}/NAME.callgrind")?;
        writeln!(
            f,
            "If it is meant to be so, commit with the change that explains it what this records:\n  \
             cargo bench --bench instructions -- --record"
        )
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, change } = self;
        match change {
            Change::NotRecorded { now } => {
                write!(f, "{name:26} {:>10} {now:10.1}   NOT RECORDED", "-")
            }
            Change::NoScenario { then } => {
                write!(f, "{name:26} {then:10.1} {:>10}   NO SUCH SCENARIO", "-")
            }
            Change::Both { then, now, judgement } => {
                let percent = (now / then - 1.0) * 100.0;
                let remark = match judgement {
                    Judgement::Worse => "   WORSE",
                    Judgement::Same => "",
                    Judgement::Better => "   better: record it",
                };
                write!(f, "{name:26} {then:10.1} {now:10.1} {percent:+8.1} %{remark}")
            }
        }
    }
}
