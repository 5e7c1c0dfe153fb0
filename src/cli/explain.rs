//! `explain`: every piece of evidence for one object. I/O: through the stages, standard output.

use super::{
    Bad, Outcome, UNKNOWN,
    args::{ExplainArgs, ExplainOutput, Global},
    config, gather, print,
};
use crate::{
    object::ObjectId,
    report::{
        Report, evidence,
        model::{Drift, Recovery},
    },
    verdict,
};

/// Finds the object and prints its evidence. Exit code 2 if a verdict on it is unknown.
pub async fn run(args: ExplainArgs, global: &Global) -> Outcome {
    let Some((kind, name)) = args.object.split_once('/').filter(|(k, n)| !k.is_empty() && !n.is_empty()) else {
        return Err(Bad::Usage(anyhow::anyhow!("`{}` is not KIND/NAME, for example Deployment/cart", args.object)));
    };
    let config = config::load(&args.witness)?;
    let gathered = gather::gather(config, args.now, global).await?;
    let id = find(&gathered.report, kind, name, args.namespace.as_deref())?;
    let explanation = verdict::explain(&gathered.inputs(), &gathered.report, &id);
    let explanation = explanation.ok_or_else(|| Bad::Unknown(anyhow::anyhow!("{id} is in the report but its evidence is not at hand")))?;
    match args.output {
        ExplainOutput::Text => print(&evidence::of(&explanation).text(&id.to_string())),
        ExplainOutput::Json => {
            let text = serde_json::to_string_pretty(&explanation).map_err(|e| Bad::Unknown(e.into()))?;
            print(&format!("{text}\n"))
        }
    }?;
    let object = gathered.report.objects.iter().find(|o| o.id == id);
    let unknown = object.is_some_and(|o| o.drift == Drift::Unknown || o.recovery == Recovery::Unknown);
    Ok(if unknown { UNKNOWN } else { 0 })
}

/// The first witness that could not be read, if any.
fn unread(report: &Report) -> Option<&str> {
    let stages = report.as_of.git.values().chain([&report.as_of.cluster, &report.as_of.backups]);
    stages.filter_map(|s| s.failure.as_ref()).map(|f| f.message.as_str()).next()
}

/// The one object of the report that is meant. Kind and group are compared without case, so `deployment/cart` works.
fn find(report: &Report, kind: &str, name: &str, namespace: Option<&str>) -> Result<ObjectId, Bad> {
    let (kind, group) = kind.split_once('.').map_or((kind, None), |(k, g)| (k, Some(g)));
    let matches = |id: &ObjectId| {
        id.gk.kind.eq_ignore_ascii_case(kind)
            && group.is_none_or(|g| id.gk.group.eq_ignore_ascii_case(g))
            && &*id.name == name
            && namespace.is_none_or(|n| id.namespace.as_deref() == Some(n))
    };
    let found: Vec<&ObjectId> = report.objects.iter().map(|o| &o.id).filter(|id| matches(id)).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => {
            let place = namespace.map(|n| format!(" in namespace {n}")).unwrap_or_default();
            let near: Vec<_> = report.objects.iter().filter(|o| &*o.id.name == name).take(3).map(|o| o.id.to_string()).collect();
            let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
            match unread(report) {
                // Whether it exists depends on what could not be read.
                Some(message) => Err(Bad::Unknown(anyhow::anyhow!("nobody who could be asked knows a {kind} named {name}{place}{hint}; {message}"))),
                None => Err(Bad::Usage(anyhow::anyhow!("nobody knows a {kind} named {name}{place}{hint}"))),
            }
        }
        _ => {
            let all: Vec<_> = found.iter().take(5).map(ToString::to_string).collect();
            Err(Bad::Usage(anyhow::anyhow!("several objects are meant: {}; give -n NAMESPACE or the group", all.join(", "))))
        }
    }
}
