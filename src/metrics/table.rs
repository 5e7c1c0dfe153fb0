//! Every metric family, once: name, kind, labels, unit, bound, what it says and when it is absent. pure
//!
//! The collector and the counters can emit only what stands here, and docs/metrics.md is written from it. Families that have no source
//! yet are not listed: `snapgap_leader` (there is one replica and no lease) and `snapgap_app_labels`.

/// What kind of family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// Always 1: its labels are the message.
    Info,
    /// One series per state, of which exactly one is 1.
    StateSet,
    /// A value that only grows.
    Counter,
    /// Counts by upper bound.
    Histogram,
}

impl Kind {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Info => "gauge = 1",
            Self::StateSet => "gauge, a set of states",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// What may be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Name and labels stay; before removal it is deprecated for two minor versions.
    Stable,
    /// May change in any version.
    Experimental,
}

/// Who fills a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built afresh from the report at each scrape.
    Report,
    /// Built afresh from what the program knows of itself at each scrape.
    Program,
    /// Counted as work is done; starts at 0 with the process.
    Counter,
    /// Read from the operating system.
    Process,
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Label names, in order.
    pub labels: &'static [&'static str],
    /// Unit of the value.
    pub unit: &'static str,
    /// How many series there can be. A apps, G sources, L storage locations; N namespaces and S schedules that keep series of their own.
    pub bound: &'static str,
    /// What it says; one sentence.
    pub says: &'static str,
    /// When there is no series; empty if there always is one.
    pub absent: &'static str,
    /// Who fills it.
    pub origin: Origin,
    /// What may be relied on.
    pub stability: Stability,
    /// Heading in the documentation.
    pub group: &'static str,
}

impl Family {
    /// The HELP text: what it says and when it is absent.
    pub fn help(&self) -> String {
        if self.absent.is_empty() { self.says.to_owned() } else { format!("{} Absent {}.", self.says, self.absent) }
    }
}

macro_rules! families {
    ($($group:literal { $($id:ident $name:literal $kind:ident [$($label:literal)*] $unit:literal $bound:literal $origin:ident $stability:ident
        $says:literal $absent:literal;)* })*) => {
        $($(
            #[doc = $says]
            pub static $id: Family = Family {
                name: $name, kind: Kind::$kind, labels: &[$($label),*], unit: $unit, bound: $bound, says: $says, absent: $absent,
                origin: Origin::$origin, stability: Stability::$stability, group: $group,
            };
        )*)*
        /// Every family, in the order of the documentation.
        pub static TABLE: &[&Family] = &[$($(&$id),*),*];
    };
}

families! {
    "Build, configuration and the program itself" {
        BUILD_INFO "snapgap_build_info" Info ["version" "revision" "rustc"] "" "1" Program Stable
            "The version that runs; what a build was not told is unknown (revision: SNAPGAP_REVISION in the environment of the compiler)." "";
        CONFIG_SUCCESSFUL "snapgap_config_last_reload_successful" Gauge [] "0 or 1" "1" Program Stable
            "Whether the newest attempt to load the configuration succeeded." "before the first attempt";
        CONFIG_TIME "snapgap_config_last_reload_success_timestamp_seconds" Gauge [] "Unix time" "1" Program Stable
            "When a configuration was last loaded." "before the first success";
        PHASE_DURATION "snapgap_phase_duration_seconds" Histogram ["phase"] "seconds" "5 phases x 8 buckets" Counter Stable
            "How long a phase of the work took; a phase is fetch, render, list, backup_read or compare." "";
        PHASE_SUCCESS "snapgap_phase_last_success_timestamp_seconds" Gauge ["phase"] "Unix time" "5" Program Experimental
            "When a phase last succeeded; of several sources or apps the one that waits longest." "until all of them succeeded once";
        PHASE_FAILING "snapgap_phase_failing" Gauge ["phase"] "stages" "5" Program Experimental
            "Stages whose newest run failed, so that their last good value is in use." "";
        EVALUATIONS "snapgap_evaluations_total" Counter [] "runs" "1" Counter Stable
            "Reports that were made or attempted." "";
        EVALUATION_FAILURES "snapgap_evaluation_failures_total" Counter ["phase" "reason"] "runs" "5 x 8" Counter Stable
            "Runs of a phase that failed." "";
        APP_EVALUATED "snapgap_app_last_evaluation_success_timestamp_seconds" Gauge ["app"] "Unix time" "A" Report Stable
            "The moment up to which an app's verdicts hold: the oldest of what is known of Git, cluster and backups."
            "until all three were read once";
        REPORT_TIME "snapgap_report_timestamp_seconds" Gauge [] "Unix time" "1" Report Stable
            "The moment the newest report speaks of." "before the first report";
        KUBE_REQUESTS "snapgap_kube_requests_total" Counter ["verb" "code"] "requests" "7 verbs x 18 codes" Counter Stable
            "Requests to the Kubernetes API; code is the HTTP status, other, or none if no answer came." "for codes that were not met yet";
        KUBE_WATCH_RESTARTS "snapgap_kube_watch_restarts_total" Counter [] "restarts" "1" Counter Stable
            "Watches that had to start again with a list." "";
        SERIES_DROPPED "snapgap_object_series_dropped" Gauge ["app"] "objects" "A + 1" Report Stable
            "Drifting objects without a series of their own, because of the cap or because the onset is not known." "";
        HTTP_REQUESTS "snapgap_http_requests_total" Counter ["handler" "code"] "requests" "18 handlers x 17 codes" Counter Experimental
            "Requests to this program's own listener." "for codes that were not met yet";
        HTTP_DURATION "snapgap_http_request_duration_seconds" Histogram [] "seconds" "8 buckets" Counter Experimental
            "How long an answer of this program's own listener took." "";
    }
    "Git" {
        GIT_INFO "snapgap_git_source_info" Info ["source" "url" "ref" "revision"] "" "G" Report Stable
            "A source, with the commit at its tip; revision is empty until it was read. For joins." "";
        GIT_FETCHES "snapgap_git_fetches_total" Counter ["source"] "polls" "G" Counter Stable
            "Polls of a source, whether or not its tip moved." "";
        GIT_FETCH_FAILURES "snapgap_git_fetch_failures_total" Counter ["source" "reason"] "polls" "6G" Counter Stable
            "Polls of a source that failed." "";
        GIT_LAST_FETCH "snapgap_git_last_fetch_success_timestamp_seconds" Gauge ["source"] "Unix time" "G" Report Stable
            "When a source's tip was last confirmed." "if it never was";
        GIT_HEAD_COMMIT "snapgap_git_head_commit_timestamp_seconds" Gauge ["source"] "Unix time" "G" Report Stable
            "Committer date of the tip, which may be false or older than the push: for display, never a window's start." "until the tip was read";
        GIT_HEAD_OBSERVED "snapgap_git_head_observed_timestamp_seconds" Gauge ["source"] "Unix time" "G" Report Stable
            "When the tip was first seen." "if it was not seen to arrive";
        RENDERS "snapgap_renders_total" Counter ["app"] "renders" "A" Counter Stable
            "Renders of an app." "";
        RENDER_FAILURES "snapgap_render_failures_total" Counter ["app" "reason"] "renders" "5A" Counter Stable
            "Renders of an app that failed." "";
        APP_INFO "snapgap_app_info" Info ["app" "source" "path" "renderer" "layer" "origin"] "" "A" Report Stable
            "An app, for joins; renderer is empty until it was rendered, origin is config." "";
        APP_DESIRED "snapgap_app_desired_objects" Gauge ["app"] "objects" "A" Report Stable
            "Objects that Git declares for an app." "";
    }
    "Drift" {
        DRIFT_OBJECTS "snapgap_drift_objects" Gauge ["app" "drift"] "objects" "5(A + 1)" Report Stable
            "Objects by drift: changed, missing, removed, added, unmanaged; an empty app holds those that no app declares." "";
        DRIFT_OLDEST "snapgap_drift_oldest_start_timestamp_seconds" Gauge ["app" "drift"] "Unix time" "5(A + 1)" Report Stable
            "Since when the longest drifting object drifts." "if there is none or its onset is not known";
        OBJECT_DRIFT "snapgap_object_drift_start_timestamp_seconds" Gauge
            ["app" "drift" "resource_namespace" "resource_group" "resource_kind" "resource_name"] "Unix time" "metrics.max_object_series" Report Stable
            "Since when one object is changed, missing, removed or added; oldest first up to the cap." "while it does not drift";
        DRIFT_DETECTED "snapgap_drift_detected_total" Counter ["app" "drift"] "objects" "5(A + 1)" Counter Stable
            "Objects that began to drift while this process watched." "";
        DRIFT_RESOLVED "snapgap_drift_resolved_total" Counter ["app" "drift"] "objects" "5(A + 1)" Counter Stable
            "Objects that ceased to drift while this process watched; becoming unknown does not count." "";
        DRIFT_IGNORED "snapgap_drift_ignored_objects" Gauge ["app"] "objects" "A + 1" Report Stable
            "Objects with at least one difference that a rule left out." "";
        CONFIRMED "snapgap_confirmed_objects" Gauge ["answer"] "objects" "4" Report Experimental
            "Drifting objects by what the API server's dry run says of them: agrees, differs, refused, unasked." "unless cluster.confirm is set and something drifts";
        OPERATIONAL "snapgap_operational_objects" Gauge ["app"] "objects" "A + 1" Report Experimental
            "Objects that drift by nothing but what a person does for now, as a restart or replicas by hand; they count as drift too." "";
        UNKNOWN_FIELDS "snapgap_unknown_fields" Gauge ["app"] "fields" "A + 1" Report Experimental
            "Fields that Git sets and that the API server has not, so that it drops them; no drift." "";
    }
    "Backups" {
        SCHEDULE_INFO "snapgap_backup_schedule_info" Info ["schedule" "cron" "storage_location"] "" "S + 1" Report Stable
            "A Velero schedule, for joins; the folded ones have neither expression nor location." "";
        SCHEDULE_PAUSED "snapgap_backup_schedule_paused" Gauge ["schedule"] "0 or 1" "S + 1" Report Stable
            "Whether a schedule is paused; of the folded ones, whether all are." "";
        SCHEDULE_INTERVAL "snapgap_backup_schedule_interval_seconds" Gauge ["schedule"] "seconds" "S + 1" Report Stable
            "The longest gap that a schedule's cron expression allows; of the folded ones the longest." "if the expression cannot be read";
        SCHEDULE_OVERDUE "snapgap_backup_schedule_overdue_runs" Gauge ["schedule"] "runs" "S + 1" Report Experimental
            "Runs of a schedule that should have begun two minutes ago or earlier and did not; Velero catches up one of them at most; of the folded schedules the most." "";
        SCHEDULE_FAILED "snapgap_backup_schedule_failed_runs" Gauge ["schedule"] "runs" "S + 1" Report Experimental
            "A schedule's newest runs in a row that left no usable backup; of the folded schedules the most." "";
        SCHEDULE_GAP "snapgap_backup_schedule_retention_gap_seconds" Gauge ["schedule"] "seconds" "S + 1" Report Experimental
            "For how long there is no backup of a schedule between the expiration of one and the next run; 0 if they overlap; of the folded schedules the longest."
            "if the expression cannot be read or nobody says how long its backups are kept";
        SCHEDULE_LEFT_OUT "snapgap_backup_schedule_left_out_objects" Gauge ["schedule"] "objects" "S + 1" Report Experimental
            "Cluster-scoped objects that live and that a schedule leaves out although it names no filter and looks like everything; what makes itself again is not counted; of the folded schedules the most."
            "for schedules with filters, and those that take all cluster-scoped objects";
        SCHEDULE_CREATED "snapgap_backup_schedule_created_timestamp_seconds" Gauge ["schedule"] "Unix time" "S + 1" Report Stable
            "When a schedule was created; of the folded ones the newest." "if that is not known";
        BACKUP_LAST_VALID "snapgap_backup_last_valid_start_timestamp_seconds" Gauge ["schedule"] "Unix time" "S + 2" Report Stable
            "Start of the newest usable backup (not its completion: objects are read from the start on); an empty schedule holds those without one; of the folded ones the oldest."
            "if there is none";
        BACKUP_EXPIRATION "snapgap_backup_last_valid_expiration_timestamp_seconds" Gauge ["schedule"] "Unix time" "S + 1" Report Stable
            "When the newest usable backup expires." "if there is none or it never expires, and for folded schedules";
        BACKUP_OBJECTS "snapgap_backup_newest_valid_objects" Gauge ["schedule"] "objects" "S + 1" Report Stable
            "Objects in the newest usable backup." "if there is none or its content was not read, and for folded schedules";
        BACKUP_DISAGREEING "snapgap_backup_disagreeing_objects" Gauge ["schedule" "mismatch"] "objects" "2(S + 2)" Report Experimental
            "Objects on which a schedule's newest usable backup with known content departs from its spec: missing_from_backup, unexpected_in_backup."
            "if no content is known";
        BACKUPS "snapgap_backups" Gauge ["schedule" "phase"] "backups" "14(S + 2)" Report Stable
            "Backups by Velero's phase; a phase that is not known here is other." "";
        BACKUPS_REJECTED "snapgap_backups_rejected" Gauge ["schedule" "reason"] "backups" "6(S + 2)" Report Stable
            "Backups that are newer than the newest usable one and do not count, or whose content could not be read: phase, stuck, expired, foreign, location, unreadable."
            "";
        NAMESPACE_BACKUP "snapgap_namespace_last_valid_backup_start_timestamp_seconds" Gauge ["resource_namespace"] "Unix time" "N + 1" Report Stable
            "Start of the newest usable backup that holds anything of a namespace; of the folded ones the oldest." "if none does";
        SCHEDULE_NEXT "snapgap_backup_schedule_next_due_timestamp_seconds" Gauge ["schedule"] "Unix time" "S + 1" Report Stable
            "When a schedule's next backup is due; in the past when it is overdue; of the folded ones the first." "while it is paused, or if its expression cannot be read";
        LOCATION_AVAILABLE "snapgap_backup_storage_location_available" Gauge ["storage_location"] "0 or 1" "L" Report Stable
            "Whether a backup storage location is available." "while Velero has not looked at it for five times as long as it should, and for ten minutes at least";
        BACKUP_READS "snapgap_backup_reads_total" Counter ["storage_location"] "reads" "L + 1" Counter Stable
            "Backup contents that were read or tried; an empty location holds those given as files." "";
        BACKUP_READ_FAILURES "snapgap_backup_read_failures_total" Counter ["storage_location" "reason"] "reads" "6(L + 1)" Counter Stable
            "Backup contents that could not be read." "";
    }
    "Volumes and restores" {
        CLAIMS "snapgap_volume_claims" Gauge ["resource_namespace" "state"] "claims" "7(N + 1)" Report Stable
            "PersistentVolumeClaims by who keeps their bytes: present in a usable backup, snapshot in the storage system only, elsewhere (another tool), skipped on purpose, absent (nobody), unbound (no bytes yet), unknown."
            "for namespaces without claims; an empty namespace stands for a cluster without any";
        CLAIM_UNPROTECTED "snapgap_volume_claim_unprotected" Gauge ["resource_namespace" "resource_name" "reason"] "1" "metrics.max_object_series" Report Stable
            "A PersistentVolumeClaim whose bytes nobody keeps, and why." "for every other claim";
        CLAIM_BYTES "snapgap_volume_claim_bytes_timestamp_seconds" Gauge ["resource_namespace" "resource_name" "reason"] "Unix time" "metrics.max_object_series" Report Stable
            "When the bytes of a claim were taken that a usable backup has: kept, kept_in_older (a newer backup was to have them and has not), snapshot_in_cluster. Oldest first, if there are too many."
            "for claims whose bytes no backup has";
        LAYER_PROVEN "snapgap_layer_proven_restore_timestamp_seconds" Gauge ["layer"] "Unix time" "3" Report Stable
            "When the last restore ran that proves a layer; of its namespaces the one whose proof is oldest." "until all namespaces of the layer are proven";
        PROVEN_NAMESPACES "snapgap_proven_namespaces" Gauge ["layer" "proven"] "namespaces" "9" Report Stable
            "Namespaces by whether a restore ever proved that they can be brought back: `true`, `manifests` if the bytes of their claims never were, `false`." "for layers without namespaces";
        NAMESPACE_PROVEN "snapgap_namespace_proven_restore_timestamp_seconds" Gauge ["resource_namespace"] "Unix time" "N + 1" Report Stable
            "When the last restore ran that proves a namespace; of the folded ones the one whose proof is oldest." "if none does, or not for all that are folded";
    }
    "Split brain" {
        SPLIT_STATE "snapgap_split_brain_state" StateSet ["app" "state"] "0 or 1" "4A" Report Stable
            "State of an app's window: closed, open, unknown, or none if there is no usable backup at all." "";
        SPLIT_START "snapgap_split_brain_start_timestamp_seconds" Gauge ["app"] "Unix time" "A" Report Stable
            "The latest moment at which an app's oldest open window can have begun." "while no window is open or its start is not known";
        SPLIT_COMMITS "snapgap_split_brain_commits" Gauge ["app"] "commits" "A" Report Stable
            "Distinct commits in an app's open windows." "";
        SPLIT_OBJECTS "snapgap_split_brain_objects" Gauge ["app"] "objects" "A" Report Stable
            "Objects of an app with an open window." "";
        SPLIT_OBJECTIVE "snapgap_split_brain_objective_seconds" Gauge ["app"] "seconds" "A" Report Stable
            "The longest window that an app is allowed." "";
        SPLIT_WINDOW "snapgap_split_brain_window_seconds" Histogram [] "seconds" "9 buckets" Counter Stable
            "Lengths of apps' windows that closed while this process watched." "";
    }
    "Recovery and coverage" {
        RECOVERY "snapgap_recovery_objects" Gauge ["layer" "recovery"] "objects" "27" Report Stable
            "Objects by what brings them back if the cluster is lost now." "";
        UNKNOWN "snapgap_unknown_objects" Gauge ["side" "reason"] "objects" "3 x 33" Report Stable
            "Objects that could not be judged, by the side that could not be read; one that several sides fail on counts for each." "for reasons that do not occur";
        COVERAGE "snapgap_coverage_objects" Gauge ["resource_namespace" "scope" "in_git" "in_cluster" "in_backup"] "objects" "14(N + 2)" Report Stable
            "Where objects are; every object in exactly one series, so that sums are right." "";
    }
    "Process" {
        PROCESS_CPU "process_cpu_seconds_total" Counter [] "seconds" "1" Process Stable "CPU time spent." "outside Linux";
        PROCESS_FDS "process_open_fds" Gauge [] "descriptors" "1" Process Stable "Open file descriptors." "outside Linux";
        PROCESS_MAX_FDS "process_max_fds" Gauge [] "descriptors" "1" Process Stable "Most file descriptors that may be open." "outside Linux";
        PROCESS_VSIZE "process_virtual_memory_bytes" Gauge [] "bytes" "1" Process Stable "Virtual memory." "outside Linux";
        PROCESS_RSS "process_resident_memory_bytes" Gauge [] "bytes" "1" Process Stable "Resident memory." "outside Linux";
        PROCESS_START "process_start_time_seconds" Gauge [] "Unix time" "1" Process Stable "When the process started." "outside Linux";
        PROCESS_THREADS "process_threads" Gauge [] "threads" "1" Process Stable "Threads of the process." "outside Linux";
    }
}

/// The drift verdicts that are counted per app.
pub const DRIFTS: [crate::report::model::Drift; 5] = {
    use crate::report::model::Drift;
    [Drift::Changed, Drift::Missing, Drift::Removed, Drift::Added, Drift::Unmanaged]
};

/// Velero's phases; an empty one is `New`. Source: `pkg/apis/velero/v1/backup_types.go`.
pub const PHASES: [&str; 13] = [
    "New",
    "Queued",
    "ReadyToStart",
    "FailedValidation",
    "InProgress",
    "WaitingForPluginOperations",
    "WaitingForPluginOperationsPartiallyFailed",
    "Finalizing",
    "FinalizingPartiallyFailed",
    "Completed",
    "PartiallyFailed",
    "Failed",
    "Deleting",
];

/// Why a backup does not count.
pub const REJECTIONS: [&str; 6] = ["phase", "stuck", "expired", "foreign", "location", "unreadable"];

/// Why a poll of a source failed.
pub const GIT_REASONS: [&str; 6] = ["auth", "network", "not_found", "timeout", "verify", "other"];

/// Why a render failed.
pub const RENDER_REASONS: [&str; 5] = ["kustomize", "helm", "parse", "timeout", "other"];

/// Why a phase failed.
pub const PHASE_REASONS: [&str; 8] = ["auth", "forbidden", "network", "not_found", "timeout", "limit", "invalid", "other"];

/// Why a backup's content could not be read.
pub const READ_REASONS: [&str; 6] = ["not_found", "auth", "timeout", "limit", "damaged", "other"];

/// Words of other rooms that mean one of the words above.
const ALIASES: [(&str, &str); 22] = [
    ("unauthorized", "auth"),
    ("credential", "auth"),
    ("password", "auth"),
    ("host_key", "verify"),
    ("certificate", "verify"),
    ("tls", "verify"),
    ("unreachable", "network"),
    ("connect", "network"),
    ("dns", "network"),
    ("io", "network"),
    ("no_such", "not_found"),
    ("missing", "not_found"),
    ("deadline", "timeout"),
    ("too_large", "limit"),
    ("too_many", "limit"),
    ("cap", "limit"),
    ("yaml", "parse"),
    ("syntax", "parse"),
    ("truncated", "damaged"),
    ("corrupt", "damaged"),
    ("checksum", "damaged"),
    ("parse", "invalid"),
];

/// Maps a room's own reason to one of a bounded set of label values; what fits nowhere is `other`.
pub fn bounded(reason: &str, of: &'static [&'static str]) -> &'static str {
    let holds = |word: &str| reason == word || reason.split('_').any(|part| part == word) || (word.contains('_') && reason.contains(word));
    if let Some(word) = of.iter().find(|word| holds(word)) {
        return word;
    }
    let alias = ALIASES.iter().filter(|(from, _)| holds(from)).find_map(|(_, to)| of.iter().find(|word| *word == to));
    alias.copied().unwrap_or("other")
}

/// Status codes that have a label value of their own; others are `other`.
const CODES: [(u16, &str); 16] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];

/// The label value of an HTTP status.
pub fn code(status: u16) -> &'static str {
    CODES.iter().find(|(n, _)| *n == status).map_or("other", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for family in TABLE {
            assert!(names.insert(family.name), "{} stands twice", family.name);
            assert!(family.name.starts_with("snapgap_") || family.origin == Origin::Process, "{}", family.name);
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert_eq!(family.name.ends_with("_info"), family.kind == Kind::Info, "{}", family.name);
            assert!(family.says.ends_with('.') && !family.absent.ends_with('.'), "{}", family.name);
            let time = family.unit == "Unix time" && family.name != "process_start_time_seconds";
            assert_eq!(family.name.ends_with("_timestamp_seconds"), time, "{}", family.name);
            for label in family.labels {
                // Prometheus Operator and federation rename or overwrite these.
                let taken = ["cluster", "namespace", "pod", "job", "instance", "container", "endpoint", "name", "type", "stage", "env", "service"];
                assert!(!taken.contains(label), "{} has the label {label}", family.name);
            }
        }
    }

    #[test]
    fn reasons_of_other_rooms_fold_into_bounded_ones() {
        for (reason, of, folded) in [
            ("auth", &GIT_REASONS[..], "auth"),
            ("auth_failed", &GIT_REASONS, "auth"),
            ("no_such_ref", &GIT_REASONS, "not_found"),
            ("host_key_changed", &GIT_REASONS, "verify"),
            ("render_timeout", &RENDER_REASONS, "timeout"),
            ("yaml_syntax", &RENDER_REASONS, "parse"),
            ("helm_failed", &RENDER_REASONS, "helm"),
            ("forbidden", &PHASE_REASONS, "forbidden"),
            ("archive_truncated", &READ_REASONS, "damaged"),
            ("authoring", &GIT_REASONS, "other"),
            ("\u{202e}<script>", &GIT_REASONS, "other"),
        ] {
            assert_eq!(bounded(reason, of), folded, "{reason}");
        }
    }
}
