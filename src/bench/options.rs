//! What `leveret bench` can be told.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::bench::connection::Target;
use crate::bench::overrides::Overrides;
use crate::bench::table::{WORKLOADS, find};
use crate::bench::workload::Workload;
use crate::bench::{Result, relay, steps};

/// What to measure, and how.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    #[command(flatten)]
    pub(super) broker: Broker,
    #[command(flatten)]
    pub(super) server: Server,

    /// Workloads to run, in this order, such as W1,W4 [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_workload)]
    #[arg(help_heading = "What to run")]
    pub(super) workload: Vec<&'static Workload>,
    /// List the workloads and leave
    #[arg(long, help_heading = "What to run")]
    pub(super) list: bool,
    /// Runs of each workload; the workloads take turns
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(value_name = "N", help_heading = "What to run")]
    pub(super) runs: u32,
    /// Stop publishing after so many seconds [default: as the workload says, unless --messages is given]
    #[arg(long, value_name = "S", value_parser = parse_seconds, help_heading = "What to run")]
    pub(super) seconds: Option<Duration>,
    /// Stop publishing after so many messages per producer [default: no limit; in a step a million]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(value_name = "N", help_heading = "What to run")]
    pub(super) messages: Option<u64>,
    /// Messages that may be published but not yet received, per lane [default: as the workload says]
    #[arg(long, value_name = "N", help_heading = "What to run")]
    pub(super) in_flight: Option<u64>,
    /// Print one JSON object a run instead of text
    #[arg(long, help_heading = "What to run")]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) overrides: Overrides,
    #[command(flatten)]
    pub(super) steps: steps::StepOptions,
    #[command(flatten)]
    pub(super) relay: Relay,
}

/// Where the broker is and who logs in.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "The broker")]
pub(super) struct Broker {
    /// Where the broker listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5672")]
    amqp: String,
    /// Who logs in
    #[arg(long, value_name = "NAME", default_value = "guest")]
    user: String,
    /// The password of that user
    #[arg(long, default_value = "guest")]
    password: String,
    /// The virtual host to work in
    #[arg(long, value_name = "NAME", default_value = "/")]
    vhost: String,
}

/// The broker as the operating system sees it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "What it costs, for a broker on this machine")]
pub(super) struct Server {
    /// A process of the broker, to measure its CPU time and memory; may be given several times
    #[arg(long)]
    pub(super) pid: Vec<u32>,
    /// Where the broker keeps its data: how much is written to that device, and in a step, how much disk is used
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

/// A stand-in for a broker.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "What the generator itself can do")]
pub(super) struct Relay {
    /// Be a relay without queues on this address instead, to see what the generator can do at most
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) relay: Option<String>,
    /// What the relay does wrong to one message in a thousand, to see that verification notices
    #[arg(long, value_enum, value_name = "FAULT", requires = "relay")]
    pub(super) relay_fault: Option<relay::Fault>,
}

impl Options {
    /// The broker to measure.
    pub(super) fn target(&self) -> Target {
        let Broker { amqp, user, password, vhost } = self.broker.clone();
        Target { address: amqp, user, password, vhost }
    }

    /// The workloads to run.
    pub(super) fn workloads(&self) -> Result<Vec<Workload>> {
        let all = || WORKLOADS.iter().collect();
        let wanted = if self.workload.is_empty() { all() } else { self.workload.clone() };
        wanted.into_iter().map(|workload| self.overrides.apply(workload)).collect()
    }
}

fn parse_workload(name: &str) -> std::result::Result<&'static Workload, String> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
        format!("known are {}", names.join(", "))
    })
}

fn parse_seconds(text: &str) -> std::result::Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds up to a day".to_owned()),
    }
}
