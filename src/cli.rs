//! What was typed on the command line. Nothing is opened, checked or resolved here; see
//! [`config::load`](crate::config::load).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench;

/// An AMQP 0-9-1 message broker, compatible with RabbitMQ's clients.
///
/// Settings come from the defaults, then the configuration file, then environment variables (LEVERET_ and the
/// key in capitals, for example LEVERET_DATA_DIR or LEVERET_LOG_LEVEL), then these options; the later wins. The
/// config.toml that comes with Leveret explains every setting. Without a command the broker is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(name = "leveret", version, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub struct Arguments {
    /// What to do instead of running a broker.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Read settings from FILE [default: ./config.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Keep messages and definitions in DIR [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Accept connections here; may be given more than once [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<String>,

    /// Keep nothing on disk: everything is gone when the broker stops
    #[arg(long)]
    pub transient: bool,

    /// What to log: off, error, warn, info, debug or trace, also for parts (info,leveret::server=debug)
    /// [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// What can be done besides running a broker.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Read everything in a data directory or a backup and report what is damaged; changes nothing
    ///
    /// The broker must be stopped; while it runs, check a backup. A copy of the database, some ten bytes for each
    /// message, is made in the directory for temporary files (TMPDIR). Exit code: 0 nothing is damaged, 1 something is, 2 it could
    /// not be read.
    Check(Check),

    /// Write a consistent copy of a data directory, also while its broker runs
    ///
    /// What was confirmed before is in it, and transactions are whole. Publishing and confirms go on. A running
    /// broker writes the copy itself, as its user, to a place on its machine; then it is verified. Exit code: 0 done, 1 done,
    /// but something in it is damaged, 2 not done.
    Backup(Backup),

    /// Make a data directory from a backup and verify it
    ///
    /// Exit code: 0 done, 1 the backup is damaged, 2 not done.
    Restore(Restore),

    /// Measure an AMQP 0-9-1 broker, this one or another, and verify what it delivers
    ///
    /// Publishes and consumes as fast as the broker lets it, on queues of its own, which are deleted afterwards. Every
    /// message is numbered: a run fails when one is lost, doubled, out of order or damaged. Give the broker nothing else to do,
    /// and --pid to see what a message costs it.
    ///
    /// For example, with RabbitMQ on this machine: leveret bench --amqp 127.0.0.1:5672 --workload W1,W4 --runs 3 --pid
    /// $(pidof beam.smp). Exit code: 0 all came as it should, 1 something did not, 2 a run could not be finished.
    Bench(Box<bench::Options>),

    /// Read everything in the copy of a database
    // For the commands above: a process of its own may fail as it likes.
    #[command(hide = true)]
    Probe(Probe),
}

/// What to try.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Probe {
    /// The database
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// What to check.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Check {
    /// The data directory, or a backup
    #[arg(value_name = "DATA-DIR")]
    pub data_dir: PathBuf,

    /// Print a JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
}

/// What to back up, and where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Backup {
    /// The data directory
    #[arg(value_name = "DATA-DIR")]
    pub data_dir: PathBuf,

    /// Where the backup goes: a new or an empty directory
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,

    /// Print a JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
}

/// What to restore, and where.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Restore {
    /// The backup
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,

    /// The data directory to make: a new or an empty directory
    #[arg(value_name = "DATA-DIR")]
    pub data_dir: PathBuf,

    /// Restore what can be read of a damaged backup
    #[arg(long)]
    pub accept_damage: bool,

    /// Print a JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn typed(arguments: &[&str]) -> Arguments {
        let line = ["leveret"].iter().chain(arguments);
        Arguments::try_parse_from(line).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nothing_typed_means_nothing_asked_for() {
        assert_eq!(typed(&[]), Arguments::default());
    }

    #[test]
    fn every_option_is_kept_as_it_was_typed() {
        let arguments = typed(&[
            "--config",
            "my.toml",
            "--data-dir=/var/lib/leveret",
            "--listen=127.0.0.1:1",
            "--listen",
            "nonsense",
            "--transient",
            "--log=debug",
        ]);
        assert_eq!(
            arguments,
            Arguments {
                command: None,
                config: Some("my.toml".into()),
                data_dir: Some("/var/lib/leveret".into()),
                listen: vec!["127.0.0.1:1".to_owned(), "nonsense".to_owned()],
                transient: true,
                log: Some("debug".to_owned()),
            }
        );
    }

    #[test]
    fn a_command_has_its_own_arguments_and_none_of_the_brokers() {
        let expected =
            Restore { backup: "b".into(), data_dir: "d".into(), accept_damage: true, json: false };
        let arguments = typed(&["restore", "b", "d", "--accept-damage"]);
        assert_eq!(arguments.command, Some(Command::Restore(expected)));
        for wrong in [&["check"] as &[_], &["backup", "d"], &["--transient", "check", "d"]] {
            let line = ["leveret"].iter().chain(wrong);
            assert!(Arguments::try_parse_from(line).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn help_says_what_each_option_does() {
        let help = Arguments::command().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help, @r"
        An AMQP 0-9-1 message broker, compatible with RabbitMQ's clients.

        Settings come from the defaults, then the configuration file, then environment variables (LEVERET_
        and the key in capitals, for example LEVERET_DATA_DIR or LEVERET_LOG_LEVEL), then these options; the
        later wins. The config.toml that comes with Leveret explains every setting. Without a command the
        broker is run.

        Usage: leveret [OPTIONS]
               leveret <COMMAND>

        Commands:
          check    Read everything in a data directory or a backup and report what is damaged; changes
                   nothing
          backup   Write a consistent copy of a data directory, also while its broker runs
          restore  Make a data directory from a backup and verify it
          bench    Measure an AMQP 0-9-1 broker, this one or another, and verify what it delivers

        Options:
              --config <FILE>
                  Read settings from FILE [default: ./config.toml, if there is one]

              --data-dir <DIR>
                  Keep messages and definitions in DIR [default: ./data]

              --listen <ADDR:PORT>
                  Accept connections here; may be given more than once [default: 127.0.0.1:5672]

              --transient
                  Keep nothing on disk: everything is gone when the broker stops

              --log <LEVEL>
                  What to log: off, error, warn, info, debug or trace, also for parts
                  (info,leveret::server=debug) [default: info]

          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version
        ");
    }
}
