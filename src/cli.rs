//! The command line: one file a subcommand. I/O: files, standard output, and whatever the command does.

pub mod args;
mod config;
mod coverage;
mod demo;
mod explain;
mod gather;
mod logging;
mod progress;
mod rbac;
mod render;
mod report;
mod schema;
mod serve;

use std::{io, io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};

use crate::build_info::BuildInfo;
use args::{Cli, Command, ConfigCommand};

/// How a command ends badly, by exit code.
#[derive(Debug)]
pub(crate) enum Bad {
    /// Wrong usage or configuration: exit code 3.
    Usage(anyhow::Error),
    /// It could not be said: exit code 2.
    Unknown(anyhow::Error),
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(e) | Self::Unknown(e)) = self;
        write!(f, "{e:#}")
    }
}

impl From<crate::config::file::ConfigError> for Bad {
    fn from(e: crate::config::file::ConfigError) -> Self {
        Self::Usage(e.into())
    }
}

impl From<io::Error> for Bad {
    fn from(e: io::Error) -> Self {
        Self::Unknown(e.into())
    }
}

/// What a command returns: its exit code, or why it ended badly.
pub(crate) type Outcome = Result<u8, Bad>;

/// Exit code of wrong usage or configuration.
const USAGE: u8 = 3;
/// Exit code of "could not say".
const UNKNOWN: u8 = 2;

/// Parses the arguments and runs the command. Exit codes: 0 clean, 1 findings named by `--fail-on`, 2 could not say, 3 wrong usage or
/// configuration.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let asked_for = !e.use_stderr();
            // A closed pipe is no reason to fail: there is nobody left to tell.
            let _ = e.print();
            return ExitCode::from(if asked_for { 0 } else { USAGE });
        }
    };
    if let Err(e) = logging::start(&cli.global) {
        return tell(&Bad::Usage(e));
    }
    crate::tls::install();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return tell(&Bad::Unknown(anyhow::Error::from(e).context("cannot start the runtime"))),
    };
    let outcome = runtime.block_on(run(cli));
    // Blocking work that outlives its deadline (a hung server) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(bad) => tell(&bad),
    }
}

fn tell(bad: &Bad) -> ExitCode {
    let code = match bad {
        Bad::Usage(_) => USAGE,
        Bad::Unknown(_) => UNKNOWN,
    };
    let _ = writeln!(io::stderr(), "snapgap: {bad}");
    ExitCode::from(code)
}

async fn run(cli: Cli) -> Outcome {
    let global = &cli.global;
    match cli.command {
        Command::Report(a) => report::run(a, global).await,
        Command::Serve(a) => serve::run(a).await,
        Command::Explain(a) => explain::run(a, global).await,
        Command::Coverage(a) => coverage::run(a, global).await,
        Command::Render(a) => render::run(a, global).await,
        Command::Demo(a) => demo::run(a, global).await,
        Command::Config(ConfigCommand::Check(a)) => config::check(&a),
        Command::Rbac(a) => rbac::run(a, global).await,
        Command::Schema(a) => schema::run(&a),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "snapgap", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Command::Version => {
            let BuildInfo { version, revision, rustc } = BuildInfo::current();
            print(&format!("snapgap {version}\nrevision {revision}\nrustc {rustc}\nreport schema {}\n", crate::report::model::SCHEMA))
        }
    }
}

/// Prints to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(0),
    }
}
