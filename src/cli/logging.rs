//! Logs on standard error: text for people, JSON for machines. I/O: standard error.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::args::{Color, Global, LogFormat};

/// Starts logging for the whole process.
pub fn start(global: &Global) -> anyhow::Result<()> {
    let level = &global.log_level;
    // A bare level speaks of this program; libraries stay at warnings unless they are named.
    let filter = if level.contains(['=', ',']) { level.clone() } else { format!("warn,kube_client=off,snapgap={level}") };
    let filter = EnvFilter::builder().parse(&filter).with_context(|| format!("--log-level {level}: write a level such as info, or a filter"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match global.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(use_color(global, &std::io::stderr())).with_target(false).init(),
    }
    Ok(())
}

/// Whether to colour what goes to this stream.
pub fn use_color(global: &Global, stream: &impl std::io::IsTerminal) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}
