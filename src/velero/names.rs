//! What kinds are called: plural, singular, kind and short names, as discovery tells them. pure
//!
//! Velero resolves the words of its kind filters with a RESTMapper and a short name expander (pkg/discovery/helper.go `ResourceFor`). The
//! same is done here over a table of the built-in kinds and over what the cluster serves.

use std::collections::{BTreeMap, HashMap};

use crate::{
    object::{GroupKind, Text},
    witness::{KindState, Told},
};

/// What one kind is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Group and kind.
    pub gk: GroupKind,
    /// Plural, for example `deployments`.
    pub plural: Text,
    /// Plural and group as Velero writes them: `deployments.apps`; no dot for the core group.
    pub resource: Text,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether all its short names are known. They are for built-in kinds; a custom kind may have others.
    pub complete: bool,
    /// Whether Velero takes the kind at all, as far as its verbs go.
    pub storable: bool,
    /// Where its group comes in the server's list of groups, if that was asked.
    pub rank: usize,
}

/// What a word of a filter stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// One kind.
    Kind(&'a Name),
    /// No kind that is known. It may still be a short name of a custom kind.
    Nothing,
    /// One of these kinds of several groups: which one Velero takes depends on the order in which the server lists them.
    Several(Vec<&'a Name>),
}

/// The names of many kinds.
#[derive(Clone, Debug, Default)]
pub struct Names {
    all: Vec<Name>,
    by_word: HashMap<Text, Vec<usize>>,
    /// Short names as discovery tells them: in their exact case.
    by_short: HashMap<Text, Vec<usize>>,
    /// Whether these are the names that a server tells, all of them.
    discovered: bool,
    by_kind: HashMap<GroupKind, usize>,
}

impl Names {
    /// The built-in kinds alone.
    pub fn builtin() -> Self {
        let mut names = Self::default();
        for line in BUILTIN.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [group, scope, kind, plural, shorts @ ..] = &words[..] else { continue };
            let group = if *group == "core" { "" } else { group };
            names.add(GroupKind::new(group, *kind), plural, *scope == "ns", true, shorts);
        }
        names
    }

    /// What the cluster serves. Where its discovery was asked, that is all there is; else (a dump) the built-in kinds stand beside it.
    pub fn of(kinds: &BTreeMap<GroupKind, KindState>) -> Self {
        let told = kinds.values().any(|s| s.told.is_some());
        let mut names = if told { Self { discovered: true, ..Self::default() } } else { Self::builtin() };
        for (gk, state) in kinds {
            match (&state.told, names.by_kind.get(gk)) {
                (Some(told), _) => names.add_told(gk, state, told),
                (None, Some(&at)) if names.all[at].plural == state.plural => names.all[at].namespaced = state.namespaced,
                (None, _) => names.add(gk.clone(), &state.plural, state.namespaced, false, &[]),
            }
        }
        names
    }

    fn add_told(&mut self, gk: &GroupKind, state: &KindState, told: &Told) {
        let at = self.all.len();
        self.add(gk.clone(), &state.plural, state.namespaced, true, &[]);
        self.all[at].rank = told.rank;
        self.all[at].storable = told.storable;
        let singular = Text::from(told.singular.to_lowercase());
        if *singular != *gk.kind.to_lowercase() {
            if let Some(known) = self.by_word.get_mut(&*gk.kind.to_lowercase()).filter(|_| *state.plural != *gk.kind.to_lowercase()) {
                known.retain(|n| *n != at);
            }
            self.by_word.entry(singular).or_default().push(at);
        }
        // Short names of a kind that Velero passes over are not known to it (`NewShortcutExpander` gets the filtered list).
        for short in told.shorts.iter().filter(|_| told.storable) {
            self.by_short.entry(short.clone()).or_default().push(at);
        }
    }

    /// These names and one more kind, for kinds that no cluster was asked about.
    #[must_use]
    pub fn with(mut self, gk: GroupKind, plural: &str, namespaced: bool) -> Self {
        self.add(gk, plural, namespaced, false, &[]);
        self
    }

    fn add(&mut self, gk: GroupKind, plural: &str, namespaced: bool, complete: bool, shorts: &[&str]) {
        let resource = if gk.group.is_empty() { plural.to_owned() } else { format!("{plural}.{}", gk.group) };
        let at = self.all.len();
        let singular = gk.kind.to_lowercase();
        for word in [plural, &*singular].iter().chain(shorts) {
            let known = self.by_word.entry(Text::from(*word)).or_default();
            if !known.contains(&at) {
                known.push(at);
            }
        }
        self.by_kind.insert(gk.clone(), at);
        self.all.push(Name { gk, plural: plural.into(), resource: resource.into(), namespaced, complete, storable: true, rank: 0 });
    }

    /// Resolves as Velero does over a server's own names: a short name first becomes a plural (third_party/kubernetes
    /// `expandResourceShortcut`), then the group that the server lists first wins (k8s.io/apimachinery `PriorityRESTMapper`). A kind that
    /// Velero passes over resolves to nothing.
    fn resolve_told(&self, word: &str, group: Option<&str>) -> Resolved<'_> {
        let fits = |n: &Name| group.is_none_or(|g| n.gk.group.starts_with(g));
        let exact = |n: &Name| group.is_none_or(|g| &*n.gk.group == g);
        let shorts: Vec<&Name> = self.by_short.get(word).into_iter().flatten().map(|at| &self.all[*at]).collect();
        let mut long: Vec<&Name> = shorts.iter().copied().filter(|n| exact(n)).collect();
        if long.is_empty() {
            long = shorts.into_iter().filter(|n| fits(n)).collect();
        }
        long.dedup_by(|a, b| a.plural == b.plural);
        let plural = match long[..] {
            [] => word.to_lowercase(),
            [one] => one.plural.to_lowercase(),
            // Which one Velero meets first is left to chance.
            _ => return Resolved::Several(long),
        };
        let named = self.by_word.get(&*plural).into_iter().flatten().map(|at| &self.all[*at]);
        match named.filter(|n| fits(n)).min_by_key(|n| n.rank) {
            Some(name) if name.storable => Resolved::Kind(name),
            _ => Resolved::Nothing,
        }
    }

    /// What a kind is called, if it is known.
    pub fn of_kind(&self, gk: &GroupKind) -> Option<&Name> {
        self.by_kind.get(gk).map(|at| &self.all[*at])
    }

    /// What a word stands for: plural, singular, kind or short name in any case, alone or followed by `.` and a group, or the beginning of
    /// a group (k8s.io/apimachinery `DefaultRESTMapper.ResourcesFor`).
    pub fn resolve(&self, word: &str) -> Resolved<'_> {
        let (name, group) = word.split_once('.').map_or((word, None), |(name, group)| (name, Some(group)));
        if self.discovered {
            return self.resolve_told(name, group);
        }
        let found: Vec<&Name> = self.by_word.get(&*name.to_lowercase()).into_iter().flatten().map(|at| &self.all[*at]).collect();
        let chosen: Vec<&Name> = match group {
            None => found,
            Some(group) => {
                let exact: Vec<&Name> = found.iter().copied().filter(|n| &*n.gk.group == group).collect();
                if exact.is_empty() { found.into_iter().filter(|n| n.gk.group.starts_with(group)).collect() } else { exact }
            }
        };
        match chosen[..] {
            [] => Resolved::Nothing,
            [one] => Resolved::Kind(one),
            // Servers list the core group first.
            _ => chosen.iter().find(|n| n.gk.group.is_empty()).map_or(Resolved::Several(chosen.clone()), |n| Resolved::Kind(n)),
        }
    }
}

/// Group, scope, kind, plural and short names of the built-in kinds that Velero can back up (kubernetes v1.36 discovery), and of those that
/// it meets in other groups often.
const BUILTIN: &str = "\
core ns Pod pods po
core ns PersistentVolumeClaim persistentvolumeclaims pvc
core cl PersistentVolume persistentvolumes pv
core ns ConfigMap configmaps cm
core ns Endpoints endpoints ep
core ns Event events ev
core ns LimitRange limitranges limits
core cl Namespace namespaces ns
core cl Node nodes no
core ns PodTemplate podtemplates
core ns ReplicationController replicationcontrollers rc
core ns ResourceQuota resourcequotas quota
core ns Secret secrets
core ns ServiceAccount serviceaccounts sa
core ns Service services svc
core cl ComponentStatus componentstatuses cs
admissionregistration.k8s.io cl MutatingAdmissionPolicy mutatingadmissionpolicies
admissionregistration.k8s.io cl MutatingAdmissionPolicyBinding mutatingadmissionpolicybindings
admissionregistration.k8s.io cl MutatingWebhookConfiguration mutatingwebhookconfigurations
admissionregistration.k8s.io cl ValidatingAdmissionPolicy validatingadmissionpolicies
admissionregistration.k8s.io cl ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings
admissionregistration.k8s.io cl ValidatingWebhookConfiguration validatingwebhookconfigurations
apiextensions.k8s.io cl CustomResourceDefinition customresourcedefinitions crd crds
apiregistration.k8s.io cl APIService apiservices
apps ns ControllerRevision controllerrevisions
apps ns DaemonSet daemonsets ds
apps ns Deployment deployments deploy
apps ns ReplicaSet replicasets rs
apps ns StatefulSet statefulsets sts
autoscaling ns HorizontalPodAutoscaler horizontalpodautoscalers hpa
batch ns CronJob cronjobs cj
batch ns Job jobs
certificates.k8s.io cl CertificateSigningRequest certificatesigningrequests csr
coordination.k8s.io ns Lease leases
discovery.k8s.io ns EndpointSlice endpointslices
events.k8s.io ns Event events ev
flowcontrol.apiserver.k8s.io cl FlowSchema flowschemas
flowcontrol.apiserver.k8s.io cl PriorityLevelConfiguration prioritylevelconfigurations
networking.k8s.io cl IngressClass ingressclasses
networking.k8s.io ns Ingress ingresses ing
networking.k8s.io ns NetworkPolicy networkpolicies netpol
networking.k8s.io cl IPAddress ipaddresses ip
networking.k8s.io cl ServiceCIDR servicecidrs
node.k8s.io cl RuntimeClass runtimeclasses
policy ns PodDisruptionBudget poddisruptionbudgets pdb
rbac.authorization.k8s.io cl ClusterRole clusterroles
rbac.authorization.k8s.io cl ClusterRoleBinding clusterrolebindings
rbac.authorization.k8s.io ns Role roles
rbac.authorization.k8s.io ns RoleBinding rolebindings
resource.k8s.io cl DeviceClass deviceclasses
resource.k8s.io ns ResourceClaim resourceclaims
resource.k8s.io ns ResourceClaimTemplate resourceclaimtemplates
resource.k8s.io cl ResourceSlice resourceslices
scheduling.k8s.io cl PriorityClass priorityclasses pc
storage.k8s.io cl CSIDriver csidrivers
storage.k8s.io cl CSINode csinodes
storage.k8s.io ns CSIStorageCapacity csistoragecapacities
storage.k8s.io cl StorageClass storageclasses sc
storage.k8s.io cl VolumeAttachment volumeattachments
storage.k8s.io cl VolumeAttributesClass volumeattributesclasses vac
";

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(names: &Names, word: &str) -> String {
        match names.resolve(word) {
            Resolved::Kind(name) => name.resource.to_string(),
            Resolved::Nothing => "Nothing".to_owned(),
            Resolved::Several(names) => format!("Several of {}", names.len()),
        }
    }

    #[test]
    fn words_resolve_as_a_rest_mapper_resolves_them() {
        let names = Names::builtin();
        for (word, expected) in [
            ("deployments", "deployments.apps"),
            ("Deployment", "deployments.apps"),
            ("deploy", "deployments.apps"),
            ("deploy.apps", "deployments.apps"),
            ("deployments.ap", "deployments.apps"),
            ("deployments.extensions", "Nothing"),
            ("po", "pods"),
            ("events", "events"),
            ("events.events.k8s.io", "events.events.k8s.io"),
            ("ingresses", "ingresses.networking.k8s.io"),
            ("certificates", "Nothing"),
            ("*", "Nothing"),
        ] {
            assert_eq!(resource(&names, word), expected, "{word}");
        }
    }

    #[test]
    fn a_servers_own_names_resolve_by_its_order_of_groups() {
        let kind = |plural: &str, singular: &str, shorts: &[&str], rank, storable| KindState {
            plural: plural.into(),
            version: "v1".into(),
            versions: Vec::new(),
            namespaced: true,
            listing: crate::witness::Listing::Complete,
            told: Some(Told { singular: singular.into(), shorts: shorts.iter().map(|s| Text::from(*s)).collect(), storable, rank }),
        };
        let kinds = BTreeMap::from([
            (GroupKind::new("", "Pod"), kind("pods", "pod", &["po"], 0, true)),
            (GroupKind::new("", "ComponentStatus"), kind("componentstatuses", "componentstatus", &["cs"], 0, false)),
            (GroupKind::new("metrics.k8s.io", "PodMetrics"), kind("pods", "", &[], 9, false)),
            (GroupKind::new("b.example.com", "Widget"), kind("widgets", "wdg", &["w"], 5, true)),
            (GroupKind::new("a.example.com", "Widget"), kind("widgets", "widget", &["w", "wa"], 7, true)),
            (GroupKind::new("a.example.com", "Wheel"), kind("wheels", "wheel", &["w2"], 7, true)),
            (GroupKind::new("c.example.com", "Wonder"), kind("wonders", "wonder", &["w2"], 8, true)),
        ]);
        let names = Names::of(&kinds);
        for (word, expected) in [
            ("po", "pods"),
            ("PO", "Nothing"),
            ("Pods", "pods"),
            ("pods.metrics.k8s.io", "Nothing"),
            ("cs", "Nothing"),
            ("componentstatuses", "Nothing"),
            ("widgets", "widgets.b.example.com"),
            ("widgets.a", "widgets.a.example.com"),
            ("wdg", "widgets.b.example.com"),
            ("widget", "widgets.a.example.com"),
            ("w", "widgets.b.example.com"),
            ("wa.a.example.com", "widgets.a.example.com"),
            ("w2", "Several of 2"),
            ("w2.c", "wonders.c.example.com"),
            ("deployments", "Nothing"),
        ] {
            assert_eq!(resource(&names, word), expected, "{word}");
        }
    }

    #[test]
    fn served_kinds_are_known_and_the_same_plural_in_two_groups_is_told_apart() {
        let state = |plural: &str, namespaced| KindState {
            plural: plural.into(),
            version: "v1".into(),
            versions: Vec::new(),
            namespaced,
            listing: crate::witness::Listing::Complete,
            told: None,
        };
        let kinds = BTreeMap::from([
            (GroupKind::new("cert-manager.io", "Certificate"), state("certificates", true)),
            (GroupKind::new("a.example.com", "Backup"), state("backups", true)),
            (GroupKind::new("velero.io", "Backup"), state("backups", true)),
            (GroupKind::new("serving.knative.dev", "Service"), state("services", true)),
        ]);
        let names = Names::of(&kinds);
        assert_eq!(resource(&names, "certificate"), "certificates.cert-manager.io");
        assert_eq!(resource(&names, "backups"), "Several of 2");
        assert_eq!(resource(&names, "backups.velero"), "backups.velero.io");
        assert_eq!(resource(&names, "services"), "services");
        assert_eq!(names.of_kind(&GroupKind::new("apps", "Deployment")).map(|n| (&*n.resource, n.complete)), Some(("deployments.apps", true)));
        assert_eq!(names.of_kind(&GroupKind::new("velero.io", "Backup")).map(|n| (&*n.resource, n.complete)), Some(("backups.velero.io", false)));
    }
}
