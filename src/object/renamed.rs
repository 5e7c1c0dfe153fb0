//! Kinds that moved to another API group: under whatever group a manifest names them, they are one object. pure
//!
//! Source: the API server serves both from the same place in etcd while both groups exist (Kubernetes 1.9 to 1.21), with the same uid.

/// Group that was, kind, group that is.
pub const RENAMED: [(&str, &str, &str); 6] = [
    ("extensions", "Ingress", "networking.k8s.io"),
    ("extensions", "NetworkPolicy", "networking.k8s.io"),
    ("extensions", "Deployment", "apps"),
    ("extensions", "DaemonSet", "apps"),
    ("extensions", "ReplicaSet", "apps"),
    ("extensions", "PodSecurityPolicy", "policy"),
];

/// The group in which a kind is known today.
pub fn today<'g>(group: &'g str, kind: &str) -> &'g str {
    RENAMED.iter().find(|(was, k, _)| *was == group && *k == kind).map_or(group, |(_, _, is)| is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_in_the_group_that_it_moved_to() {
        for (group, kind, is) in [
            ("extensions", "Ingress", "networking.k8s.io"),
            ("extensions", "Deployment", "apps"),
            ("extensions", "Widget", "extensions"),
            ("apps", "Deployment", "apps"),
            ("ext.example.com", "Ingress", "ext.example.com"),
        ] {
            assert_eq!(today(group, kind), is, "{group} {kind}");
        }
        let moved = |(_, kind, is): &(&str, &str, &str)| crate::object::builtin(is, kind).is_some() || *kind == "PodSecurityPolicy";
        assert!(RENAMED.iter().all(moved), "every kind is where the table says, but for the one that Kubernetes dropped");
    }
}
