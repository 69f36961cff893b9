//! The `leveret` binary: parse arguments; then a command, or load settings, start tracing, run until a signal.

mod commands;
mod run;

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use clap::Parser;
use leveret::cli::Arguments;

/// Messages are allocated on one thread and freed on another; see `docs/decisions`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(command) = &arguments.command {
        return commands::execute(command);
    }
    match run::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

/// One clear sentence on stderr, whether or not logging has started.
fn report(error: &dyn std::error::Error) {
    // If nobody can read it there is nobody else to tell; the exit code remains.
    let _ = writeln!(stderr(), "leveret: {error}");
}
