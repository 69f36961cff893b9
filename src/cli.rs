//! What was typed on the command line. Nothing is opened, checked or resolved here; see
//! [`config::load`](crate::config::load).

use std::path::PathBuf;

use clap::Parser;

/// An AMQP 0-9-1 message broker, compatible with RabbitMQ's clients.
///
/// Settings come from the defaults, then the configuration file, then environment variables (LEVERET_ and the
/// key in capitals, for example LEVERET_DATA_DIR or LEVERET_LOG_LEVEL), then these options; the later wins. The
/// config.toml that comes with Leveret explains every setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(name = "leveret", version, max_term_width = 100)]
#[expect(clippy::doc_markdown, reason = "the text is shown on a terminal")]
pub struct Arguments {
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
                config: Some("my.toml".into()),
                data_dir: Some("/var/lib/leveret".into()),
                listen: vec!["127.0.0.1:1".to_owned(), "nonsense".to_owned()],
                transient: true,
                log: Some("debug".to_owned()),
            }
        );
    }

    #[test]
    fn help_says_what_each_option_does() {
        let help = Arguments::command().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(help, @r"
        An AMQP 0-9-1 message broker, compatible with RabbitMQ's clients.

        Settings come from the defaults, then the configuration file, then environment variables (LEVERET_
        and the key in capitals, for example LEVERET_DATA_DIR or LEVERET_LOG_LEVEL), then these options; the
        later wins. The config.toml that comes with Leveret explains every setting.

        Usage: leveret [OPTIONS]

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
