//! Results, as lines for people or as JSON, one object a line.

use serde_json::{Map, Number, Value, json};

use crate::bench::histogram::Histogram;
use crate::bench::outcome::Outcome;
use crate::bench::run::Plan;
use crate::bench::sequence::Verdict;
use crate::bench::workload::Workload;

/// One run for people.
pub(crate) fn line(workload: &Workload, number: u32, outcome: &Outcome) -> String {
    let mut parts = vec![format!(
        "{} run {number}: published {}/s, received {}/s",
        workload.name,
        grouped(outcome.published_per_second),
        grouped(outcome.received_per_second),
    )];
    if let (Some(cpu), Some(mib)) = (outcome.server_cpu_per_million(), outcome.server_peak_mib) {
        parts.push(format!("server CPU {cpu:.3} s/M, peak RSS {mib:.1} MiB"));
    }
    if let [(_, Some(files)), ..] = outcome.write_amplification() {
        parts.push(format!("written {files:.3} of payload"));
    }
    if let Some((_, per_second)) = outcome.beside {
        parts.push(format!("beside it {}/s", grouped(per_second)));
    }
    for (what, latency) in latencies(outcome) {
        if let Some(latency) = latency {
            let at = |share| latency.quantile_ms(share).unwrap_or(0.0);
            parts.push(format!("{what} p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99)));
        }
    }
    let (published, received) = (outcome.published, outcome.received);
    format!(
        "{}\n   {published} published, {received} received: {}",
        parts.join(", "),
        verification(&outcome.verdict)
    )
}

/// One run as JSON.
pub(crate) fn json(workload: &Workload, plan: &Plan, number: u32, outcome: &Outcome) -> String {
    let run = json!({
        "workload": workload.name,
        "run": number,
        "published": outcome.published,
        "received": outcome.received,
        "published_per_second": rounded(outcome.published_per_second),
        "received_per_second": rounded(outcome.received_per_second),
        "server_cpu_seconds": outcome.server_cpu_seconds.map(rounded),
        "server_cpu_seconds_per_million": outcome.server_cpu_per_million().map(rounded),
        "server_peak_rss_mib": outcome.server_peak_mib.map(rounded),
        "generator_cpu_seconds": rounded(outcome.own_cpu_seconds),
        "pairs": workload.lanes,
        "queues": workload.route.queues(),
        "body_bytes": workload.body_bytes,
        "bindings": workload.route.bindings(),
        "rate": workload.rate,
        "idle_connections": plan.idle_connections,
        "beside_received_per_second": outcome.beside.map(|(_, rate)| rounded(rate)),
    });
    let written = outcome.write_amplification();
    let written = written.map(|(name, value)| (name.to_owned(), value.map(rounded).into()));
    let latencies = latencies(outcome);
    let latencies = latencies.into_iter().flat_map(|(what, latency)| quantiles(what, latency));
    let mut fields: Map<String, Value> = counts(&outcome.verdict);
    fields.extend(written.into_iter().chain(latencies));
    if let Value::Object(run) = run {
        fields.extend(run);
    }
    Value::Object(fields).to_string()
}

/// What went wrong, as JSON.
pub(crate) fn counts(verdict: &Verdict) -> Map<String, Value> {
    let Verdict { lost, doubled, out_of_order, damaged, left_behind, refused, unmarked } = *verdict;
    let counts = [
        ("lost", lost),
        ("doubled", doubled),
        ("out_of_order", out_of_order),
        ("damaged", damaged),
        ("left_behind", left_behind),
        ("refused", refused),
        ("unmarked", unmarked),
    ];
    counts.map(|(name, count)| (name.to_owned(), count.into())).into_iter().collect()
}

/// Medians over all runs of a workload, for people.
pub(crate) fn median_line(workload: &Workload, outcomes: &[Outcome]) -> String {
    let of = |value: fn(&Outcome) -> Option<f64>| median(outcomes.iter().filter_map(value));
    let received = of(|outcome| Some(outcome.received_per_second)).unwrap_or(0.0);
    let name = workload.name;
    let mut parts = vec![format!("{name} median: received {}/s", grouped(received))];
    if let Some(cpu) = of(Outcome::server_cpu_per_million) {
        parts.push(format!("server CPU {cpu:.3} s/M"));
    }
    if let Some(p50) = of(|outcome| outcome.confirm_latency.as_ref()?.quantile_ms(0.5)) {
        parts.push(format!("confirm p50 {p50:.3} ms"));
    }
    parts.join(", ")
}

/// A verdict in words.
pub(crate) fn verification(verdict: &Verdict) -> String {
    let Verdict { lost, doubled, out_of_order, damaged, left_behind, refused, unmarked } = verdict;
    let mut text = format!("lost {lost} doubled {doubled} out of order {out_of_order}");
    let rarer = [
        (damaged, "damaged"),
        (left_behind, "left behind"),
        (refused, "refused"),
        (unmarked, "not marked as redelivered"),
    ];
    for (count, what) in rarer.into_iter().filter(|(count, _)| **count > 0) {
        text = format!("{text} {what} {count}");
    }
    text
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The latencies that a run may have measured, by name.
fn latencies(outcome: &Outcome) -> [(&'static str, Option<&Histogram>); 3] {
    [
        ("confirm", outcome.confirm_latency.as_ref()),
        ("delivery", outcome.delivery_latency.as_ref()),
        ("cycle", outcome.cycle_latency.as_ref()),
    ]
}

/// What JSON says about latencies, measured or not.
fn quantiles(what: &str, latency: Option<&Histogram>) -> [(String, Value); 5] {
    let at = |share| latency.and_then(|all| all.quantile_ms(share));
    [
        ("p50", at(0.5)),
        ("p90", at(0.9)),
        ("p99", at(0.99)),
        ("p999", at(0.999)),
        ("max", latency.and_then(Histogram::max_ms)),
    ]
    .map(|(name, value)| (format!("{what}_{name}_ms"), value.map(rounded).into()))
}

/// A figure to four decimals.
pub(crate) fn rounded(value: f64) -> Value {
    // JSON knows no infinity, which a figure per message is when none came: `null`.
    Number::from_f64((value * 1e4).round() / 1e4).into()
}

/// A whole number with a comma after each group of three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
