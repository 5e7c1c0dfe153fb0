//! `report`: what has drifted, what a restore would roll back, what would be lost. I/O: through the stages, standard output.

use super::{
    Bad, Outcome,
    args::{Global, Output, ReportArgs},
    config, gather,
    logging::use_color,
    print,
};
use crate::report::{self, Report, json, markdown, table, yaml};

/// Reads everything once and prints the report. Exit code by `--fail-on`.
pub async fn run(args: ReportArgs, global: &Global) -> Outcome {
    let config = config::load(&args.witness)?;
    let gathered = gather::gather(config, args.now, global).await?;
    print(&rendered(&gathered.report, args.output, args.all, global)?)?;
    Ok(report::exit_code(&gathered.report, &args.fail_on))
}

/// The report in one of its forms.
pub fn rendered(report: &Report, output: Output, all: bool, global: &Global) -> Result<String, Bad> {
    match output {
        Output::Table => Ok(table::render(report, &terminal(all, global))),
        Output::Markdown => Ok(markdown::render(report, all)),
        Output::Json => json::render(report, all).map_err(|e| Bad::Unknown(e.into())),
        Output::Yaml => yaml::render(report, all).map_err(|e| Bad::Unknown(e.into())),
    }
}

/// The terminal's size; a pipe gets the width of a wide terminal and all lines that a screen would get.
fn terminal(all: bool, global: &Global) -> table::Options {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let plain = table::Options::default();
    let (width, height) = match terminal_size::terminal_size() {
        Some((width, height)) => (usize::from(width.0), usize::from(height.0)),
        None => (plain.width, plain.height),
    };
    table::Options {
        width: number("COLUMNS").unwrap_or(width),
        height: number("LINES").unwrap_or(height),
        all,
        color: use_color(global, &std::io::stdout()),
    }
}
