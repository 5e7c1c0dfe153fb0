//! What the Deployment that runs Velero says of its server: the time zone of schedules, and how often it looks at storage locations. pure

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::cron::{self, parse_duration};

/// How Velero's server runs, as far as that decides what its objects mean. `None`: the Deployment does not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    /// The zone that cron expressions are meant in if they name none.
    pub zone: Option<TimeZone>,
    /// `--store-validation-frequency`; zero switches it off.
    pub validation: Option<Duration>,
}

impl Server {
    /// Reads Deployments in Velero's namespace; of the first that runs `velero server`.
    pub fn of<'a>(deployments: impl IntoIterator<Item = &'a Value>) -> Self {
        let containers = |d: &'a Value| d.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten();
        deployments.into_iter().flat_map(containers).find(|c| is_server(c)).map(Self::in_container).unwrap_or_default()
    }

    fn in_container(container: &Value) -> Self {
        let env = container.get("env").and_then(Value::as_array).into_iter().flatten();
        // Of a name that is there twice the last one counts.
        let zone = env.rev().find(|e| e.get("name").and_then(Value::as_str) == Some("TZ"));
        let zone = zone.and_then(|e| e.get("value")?.as_str()).map(local);
        let flag = "--store-validation-frequency";
        let all: Vec<&str> = words(container).collect();
        let told = all.iter().enumerate().rev().find_map(|(n, word)| match word.strip_prefix(flag)?.strip_prefix('=') {
            Some(value) => Some(value),
            None if *word == flag => all.get(n + 1).copied(),
            None => None,
        });
        let validation = told.and_then(|t| u64::try_from(parse_duration(t).ok()?).ok()).map(Duration::from_nanos);
        Self { zone, validation }
    }
}

fn words(container: &Value) -> impl Iterator<Item = &str> {
    ["command", "args"].into_iter().filter_map(|key| container.get(key)?.as_array()).flatten().filter_map(Value::as_str)
}

fn is_server(container: &Value) -> bool {
    let velero = container.get("name").and_then(Value::as_str) == Some("velero") || words(container).any(|w| w.rsplit('/').next() == Some("velero"));
    velero && words(container).any(|w| w == "server")
}

/// What Go takes `TZ` for (time/zoneinfo_unix.go `initLocal`): a leading colon is passed over, a path into the database names a zone of it, and
/// what it cannot load is UTC.
fn local(tz: &str) -> TimeZone {
    let name = tz.strip_prefix(':').unwrap_or(tz);
    let name = name.strip_prefix("/usr/share/zoneinfo/").unwrap_or(name);
    cron::zone(name).unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_servers_zone_and_validation_are_read_where_it_runs() {
        let server = |container: Value| Server::of([&json!({"spec":{"template":{"spec":{"containers":[{"name":"proxy"}, container]}}}})]);
        let run = |env: Value, args: Value| server(json!({"name":"velero","command":["/velero"],"args":args,"env":env}));
        let zone = |env: Value| run(env, json!(["server"])).zone.map(|z| z.iana_name().unwrap_or("UTC").to_owned());
        let tz = |value: &str| json!([{"name":"VELERO_SCRATCH_DIR","value":"/scratch"},{"name":"TZ","value":value}]);
        for (env, want) in [
            (tz("Europe/Berlin"), Some("Europe/Berlin")),
            (tz(":Europe/Berlin"), Some("Europe/Berlin")),
            (tz("/usr/share/zoneinfo/Asia/Tokyo"), Some("Asia/Tokyo")),
            (tz(""), Some("UTC")),
            (tz("Europe/Nowhere"), Some("UTC")),
            (json!([{"name":"TZ","valueFrom":{"configMapKeyRef":{"name":"c","key":"tz"}}}]), None),
            (json!([]), None),
        ] {
            assert_eq!(zone(env.clone()).as_deref(), want, "{env}");
        }
        let frequency = |args: Value| run(json!([]), args).validation.map(|d| d.as_secs());
        assert_eq!(frequency(json!(["server", "--store-validation-frequency=5m"])), Some(300));
        assert_eq!(frequency(json!(["server", "--store-validation-frequency", "0"])), Some(0));
        assert_eq!(frequency(json!(["server"])), None);
        let other = server(json!({"name":"other","command":["/usr/bin/velero","node-agent","server"],"env":tz("Asia/Tokyo")}));
        assert_eq!(other.zone.and_then(|z| z.iana_name().map(str::to_owned)).as_deref(), Some("Asia/Tokyo"), "by its program");
        assert_eq!(server(json!({"name":"ui","args":["server"],"env":tz("Asia/Tokyo")})), Server::default());
    }
}
