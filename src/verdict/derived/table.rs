//! The rules for what controllers make, as data. pure

/// One rule: the kinds it speaks of and the conditions that must all hold.
pub(in crate::verdict) struct Rule {
    /// Stable name, shown with every count.
    pub name: &'static str,
    /// Why it exists, for people.
    pub reason: &'static str,
    /// Group and kind; none means any kind.
    pub(super) kinds: &'static [(&'static str, &'static str)],
    /// What must hold.
    pub(super) when: &'static [When],
}

/// One condition.
pub(super) enum When {
    /// The name is one of these.
    Named(&'static [&'static str]),
    /// The name begins so.
    NameStarts(&'static str),
    /// The namespace is this one.
    In(&'static str),
    /// A label has this value.
    Label(&'static str, &'static str),
    /// A label has one of these values.
    LabelIn(&'static str, &'static [&'static str]),
    /// An annotation is there.
    Annotated(&'static str),
    /// An annotation is not there.
    Lacks(&'static str),
    /// An annotation has this value.
    Annotation(&'static str, &'static str),
    /// The member `type` has this value (Secrets).
    Type(&'static str),
    /// Nothing besides what the server itself writes: no annotations, no labels but the name's, no pull secrets.
    Bare,
    /// The Secret is named as the token controller names those it makes: `<service account>-token-<suffix>`.
    TokenName,
    /// Every writer is the server or the installer of the cluster, and one of them made it.
    OnlyInstallers,
    /// A Service of the same name selects its endpoints.
    ServiceSelects,
    /// It carries the name of a Velero backup, as what Velero makes for one does.
    OfBackup,
}

/// Programs that bring a cluster up. What only these ever wrote, the next installation writes again.
pub(super) const INSTALLERS: [&str; 2] = ["kube-apiserver", "kubeadm"];
/// Programs of the control plane that add bookkeeping to such objects.
pub(super) const CONTROL_PLANE: [&str; 5] = ["kube-apiserver", "kubeadm", "kube-controller-manager", "kube-scheduler", "kubelet"];

const RBAC: &[(&str, &str)] = &[
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
];
const FLOW_CONTROL: &[(&str, &str)] =
    &[("flowcontrol.apiserver.k8s.io", "FlowSchema"), ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration")];

/// ServiceAccounts of the controller manager (cmd/kube-controller-manager/names and pkg/controller, Kubernetes 1.36).
const CONTROLLER_ACCOUNTS: &[&str] = &[
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "selinux-warning-controller",
    "service-account-controller",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "storage-version-migrator-controller",
    "taint-eviction-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// The rules; the first that matches is the one that is counted. Sources: the controllers named in `reason`.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "event",
        reason: "Events are written by controllers and expire within hours",
        kinds: &[("", "Event"), ("events.k8s.io", "Event")],
        when: &[],
    },
    Rule {
        name: "lease",
        reason: "Leases are heartbeats and elections; their holders write them again",
        kinds: &[("coordination.k8s.io", "Lease"), ("coordination.k8s.io", "LeaseCandidate")],
        when: &[],
    },
    Rule { name: "node", reason: "Nodes are registered by their kubelets", kinds: &[("", "Node"), ("storage.k8s.io", "CSINode")], when: &[] },
    Rule {
        name: "mirror_pod",
        reason: "Mirror pods are written by the kubelet from files on its node",
        kinds: &[("", "Pod")],
        when: &[When::Annotated("kubernetes.io/config.mirror")],
    },
    Rule {
        name: "velero_snapshot",
        reason: "Velero snapshots a claim while it backs it up, and takes the snapshot's objects away when they are in the backup",
        kinds: &[("snapshot.storage.k8s.io", "VolumeSnapshot"), ("snapshot.storage.k8s.io", "VolumeSnapshotContent")],
        when: &[When::OfBackup],
    },
    Rule {
        name: "endpoint_slice",
        reason: "EndpointSlices are made from Services by their controllers",
        kinds: &[("discovery.k8s.io", "EndpointSlice")],
        when: &[When::LabelIn(
            "endpointslice.kubernetes.io/managed-by",
            &["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"],
        )],
    },
    Rule {
        name: "kubernetes_service",
        reason: "The API server publishes itself as default/kubernetes",
        kinds: &[("", "Service"), ("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")],
        when: &[When::In("default"), When::Named(&["kubernetes"])],
    },
    Rule {
        name: "endpoints",
        reason: "Endpoints of a Service with a selector are made by the endpoints controller",
        kinds: &[("", "Endpoints")],
        when: &[When::ServiceSelects],
    },
    Rule {
        name: "root_ca",
        reason: "Every namespace gets the cluster's root certificate from the root CA publisher",
        kinds: &[("", "ConfigMap")],
        when: &[When::Named(&["kube-root-ca.crt"])],
    },
    Rule {
        name: "default_service_account",
        reason: "Every namespace gets a default ServiceAccount; one with pull secrets or annotations of its own is not meant",
        kinds: &[("", "ServiceAccount")],
        when: &[When::Named(&["default"]), When::Bare],
    },
    Rule {
        name: "controller_account",
        reason: "The controller manager makes the ServiceAccounts of its own controllers",
        kinds: &[("", "ServiceAccount")],
        when: &[When::In("kube-system"), When::Named(CONTROLLER_ACCOUNTS), When::Bare],
    },
    Rule {
        name: "service_account_token",
        reason: "Token Secrets are made by the token controller for their ServiceAccounts",
        kinds: &[("", "Secret")],
        when: &[When::Type("kubernetes.io/service-account-token"), When::TokenName],
    },
    Rule {
        name: "helm_release",
        reason: "Helm records a release anew when it installs it",
        kinds: &[("", "Secret")],
        when: &[When::Type("helm.sh/release.v1"), When::NameStarts("sh.helm.release.v1.")],
    },
    Rule {
        name: "bootstrap_rbac",
        reason: "The API server restores its default roles and bindings at every start",
        kinds: RBAC,
        when: &[When::Label("kubernetes.io/bootstrapping", "rbac-defaults")],
    },
    Rule {
        name: "flow_control",
        reason: "The API server keeps its suggested flow control configuration up to date",
        kinds: FLOW_CONTROL,
        when: &[When::Annotation("apf.kubernetes.io/autoupdate-spec", "true")],
    },
    Rule {
        name: "mandatory_flow_control",
        reason: "The API server always restores its mandatory flow control configuration",
        kinds: FLOW_CONTROL,
        when: &[When::Named(&["exempt", "catch-all"])],
    },
    Rule {
        name: "system_priority_class",
        reason: "The API server makes the system PriorityClasses",
        kinds: &[("scheduling.k8s.io", "PriorityClass")],
        when: &[When::Named(&["system-cluster-critical", "system-node-critical"])],
    },
    Rule {
        name: "automanaged_api_service",
        reason: "The API server registers the groups that it serves itself",
        kinds: &[("apiregistration.k8s.io", "APIService")],
        when: &[When::LabelIn("kube-aggregator.kubernetes.io/automanaged", &["onstart", "true"])],
    },
    Rule {
        name: "system_namespace",
        reason: "The API server makes its own namespaces; one that carries labels or annotations of a person is not meant",
        kinds: &[("", "Namespace")],
        when: &[When::Named(&["default", "kube-system", "kube-public", "kube-node-lease"]), When::Bare],
    },
    Rule {
        name: "server_config",
        reason: "The API server publishes its own settings in kube-system",
        kinds: &[("", "ConfigMap")],
        when: &[
            When::In("kube-system"),
            When::Named(&["extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking"]),
        ],
    },
    Rule {
        name: "service_cidr",
        reason: "The API server writes its own service range",
        kinds: &[("networking.k8s.io", "ServiceCIDR")],
        when: &[When::Named(&["kubernetes"])],
    },
    Rule {
        name: "ip_address",
        reason: "IPAddresses are allocated when their Services are made",
        kinds: &[("networking.k8s.io", "IPAddress")],
        when: &[],
    },
    Rule {
        name: "trust_bundle",
        reason: "The cluster publishes the certificates of its own signers",
        kinds: &[("certificates.k8s.io", "ClusterTrustBundle")],
        when: &[When::NameStarts("kubernetes.io:")],
    },
    Rule {
        name: "certificate_request",
        reason: "Requests for certificates are made by those who need them and expire within hours",
        kinds: &[("certificates.k8s.io", "CertificateSigningRequest")],
        when: &[],
    },
    Rule {
        name: "volume_attachment",
        reason: "Volumes are attached by their controller when pods need them",
        kinds: &[("storage.k8s.io", "VolumeAttachment")],
        when: &[],
    },
    Rule {
        name: "computed",
        reason: "The server computes these when they are read; nothing is stored",
        kinds: &[("", "ComponentStatus"), ("metrics.k8s.io", "NodeMetrics"), ("metrics.k8s.io", "PodMetrics")],
        when: &[],
    },
    Rule {
        name: "velero_record",
        reason: "Velero's records are synced from the bucket or made by its next run",
        kinds: &[
            ("velero.io", "Backup"),
            ("velero.io", "Restore"),
            ("velero.io", "DownloadRequest"),
            ("velero.io", "DeleteBackupRequest"),
            ("velero.io", "ServerStatusRequest"),
            ("velero.io", "PodVolumeBackup"),
            ("velero.io", "PodVolumeRestore"),
            ("velero.io", "DataUpload"),
            ("velero.io", "DataDownload"),
            ("velero.io", "BackupRepository"),
            ("velero.io", "ResticRepository"),
        ],
        when: &[],
    },
    Rule {
        name: "installer",
        reason: "Written by the installer of the cluster and by nobody since; the next installation writes it again",
        kinds: &[],
        when: &[When::OnlyInstallers],
    },
];
