//! `coverage`: which schedule takes each object, or which rule leaves it out. I/O: through the stages, files, standard output.

use std::{io::Read as _, path::Path};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Bad, Outcome,
    args::{CoverageArgs, CoverageFail, CoverageOutput, Global},
    config, gather, print,
    progress::Progress,
};
use crate::{
    object::yaml,
    stages::{backups::BackupStage, cluster},
    velero::{
        Scope,
        coverage::{Asked, CoverageReport, coverage, table},
        observed::Subject,
        select::View,
    },
};

/// Bytes of a file with one Backup.
const MAX_FILE: u64 = 4 << 20;

/// Reads the cluster and Velero's schedules, and plays each through.
pub async fn run(mut args: CoverageArgs, global: &Global) -> Outcome {
    let (specs, archives) = std::mem::take(&mut args.witness.backups).into_iter().partition::<Vec<_>, _>(|b| is_manifest(b));
    args.witness.backups = archives;
    let config = std::sync::Arc::new(config::load(&args.witness)?);
    let now = args.now.unwrap_or_else(Timestamp::now);
    let given: Vec<(String, Scope)> = specs.iter().map(|path| read(Path::new(path))).collect::<Result<_, _>>()?;
    let redactor = gather::redactor(&config)?;
    let progress = Progress::start(global.quiet);
    progress.now("reading the cluster");
    let live =
        cluster::read_once(&config, &redactor, now, &|p| progress.now(&format!("reading the cluster: {} of {} kinds", p.kinds_done, p.kinds))).await;
    if live.as_of.is_none() {
        let why = live.failure.map_or_else(|| "there is nothing to read from".to_owned(), |f| f.message);
        return Err(Bad::Unknown(anyhow::anyhow!("the cluster could not be read: {why}")));
    }
    let (backed_up, _) = BackupStage::new(config.clone(), redactor).at(args.now).run_through(&live, now).await;
    let view = View::of(&live, &config.velero.namespace);
    let asked: Vec<Asked<'_>> = if given.is_empty() {
        let schedule = |s: &'_ crate::witness::Schedule| {
            (format!("schedule {}", s.name), s.paused.then(|| "it is paused".to_owned()).or_else(|| s.problem.clone()))
        };
        let of = |s| {
            let (name, idle) = schedule(s);
            let newest = backed_up.backups.iter().find(|b| b.state.usable() && b.schedule.as_ref() == Some(&s.name) && b.content.archive().is_ok());
            Asked { name, scope: &s.scope, idle, next_due: s.next_due, newest: newest.and_then(Subject::of) }
        };
        backed_up.schedules.iter().map(of).collect()
    } else {
        given.iter().map(|(name, scope)| Asked { name: name.clone(), scope, idle: None, next_due: None, newest: None }).collect()
    };
    drop(progress);
    let report = coverage(&asked, &view, &live, &config.velero.namespace, now);
    let failed = |e: String| Bad::Unknown(anyhow::anyhow!(e));
    print(&match args.output {
        CoverageOutput::Table => table(&report, args.all),
        CoverageOutput::Json => serde_json::to_string_pretty(&report).map_err(|e| failed(e.to_string()))? + "\n",
        CoverageOutput::Yaml => yaml::write(&report).map_err(|e| failed(e.to_string()))?,
    })?;
    Ok(u8::from(args.fail_on.iter().any(|what| found(*what, &report))))
}

fn found(what: CoverageFail, report: &CoverageReport) -> bool {
    match what {
        CoverageFail::Left => report.left > 0,
        CoverageFail::Unsure => report.unsure > 0,
        CoverageFail::Refused => report.plans.iter().any(|p| !p.problems.is_empty()),
    }
}

/// Archives end in `.tar.gz`; a manifest is told by its name.
fn is_manifest(given: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| given.ends_with(ending))
}

/// The filters of a Backup's spec or a Schedule's template.
fn read(path: &Path) -> Result<(String, Scope), Bad> {
    let wrong = |what: String| Bad::Usage(anyhow::anyhow!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut bytes)).map_err(|e| wrong(e.to_string()))?;
    let parsed = yaml::parse(&bytes, &yaml::Limits::default()).map_err(|e| wrong(e.to_string()))?;
    let documents: Vec<Value> = parsed.documents.into_iter().map(|d| d.value).filter(|v| !v.is_null()).collect();
    let [document] = &documents[..] else { return Err(wrong(format!("it holds {} documents; give one Backup or Schedule", documents.len()))) };
    let spec = match document.get("kind").and_then(Value::as_str) {
        Some("Backup") => document.get("spec"),
        Some("Schedule") => document.pointer("/spec/template"),
        _ => return Err(wrong("it is neither a Backup nor a Schedule of velero.io".to_owned())),
    };
    let empty = Value::Object(serde_json::Map::new());
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    Ok((format!("backup {name}"), Scope::of_backup(spec.unwrap_or(&empty), false)))
}
