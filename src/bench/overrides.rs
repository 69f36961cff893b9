//! What can be changed about any workload.

use std::num::NonZeroU32;

use clap::Args;

use crate::bench::Result;
use crate::bench::message::STAMP_BYTES;
use crate::bench::topic::MOST_BINDINGS;
use crate::bench::workload::{Route, Work, Workload};

/// Other values than a workload's own.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Workloads with other numbers")]
pub(crate) struct Overrides {
    /// Producers, each with a consumer and queues of its own
    #[arg(long, value_name = "N")]
    pairs: Option<NonZeroU32>,
    /// Queues of each pair: each message goes to the next, or to all in a fan-out; in the step `declares` 10,000 unless
    /// given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) queues: Option<u32>,
    /// Size of each body, at least 16; in a step 1024 unless given
    #[arg(long, value_name = "N", alias = "bytes")]
    #[arg(value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=100 << 20))]
    pub(super) body_bytes: Option<u32>,
    /// Bindings of each topic exchange, a multiple of its queues
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_BINDINGS)))]
    bindings: Option<u32>,
    /// Messages a second of all producers together, each due at its time, whatever the broker does; latencies count from there
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
    /// Connections that are open during the run and do nothing
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) idle_connections: u32,
}

impl Overrides {
    /// `workload` with these values instead of its own.
    pub(crate) fn apply(&self, workload: &Workload) -> Result<Workload> {
        let mut changed = *workload;
        if let Some(pairs) = self.pairs {
            changed.lanes = pairs.get() as usize;
        }
        if let Some(bytes) = self.body_bytes {
            changed.body_bytes = bytes as usize;
        }
        changed.rate = self.rate.or(workload.rate);
        changed.route = self.route(workload)?;
        let is_of_streams = self.rate.is_some() || self.queues.is_some();
        if workload.work == Work::Churn && is_of_streams {
            return Err(format!("{} knows neither --rate nor --queues", workload.name).into());
        }
        Ok(changed)
    }

    fn route(&self, workload: &Workload) -> Result<Route> {
        let queues = self.queues.map_or(workload.route.queues(), |queues| queues as usize);
        let route = match workload.route {
            Route::Direct(_) => Route::Direct(queues),
            Route::Fanout(_) => Route::Fanout(queues),
            Route::Topic { bindings, .. } => {
                let bindings = self.bindings.map_or(bindings, |bindings| bindings as usize);
                if !bindings.is_multiple_of(queues) {
                    return Err(
                        format!("{bindings} bindings are no multiple of {queues} queues").into()
                    );
                }
                Route::Topic { queues, bindings }
            }
        };
        if self.bindings.is_some() && route.bindings().is_none() {
            return Err(format!("{} has no topic exchange for --bindings", workload.name).into());
        }
        Ok(route)
    }
}
