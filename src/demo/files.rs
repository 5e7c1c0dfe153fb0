//! What the demo's repository holds, as a function of what was decided. pure

use std::collections::BTreeMap;

/// The decisions that the demo's people take, commit by commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// Version of the cart.
    pub cart: &'static str,
    /// Replicas of the cart.
    pub replicas: u32,
    /// Size of the cart's cache in MiB.
    pub cache_mb: u32,
    /// Worker connections of the ingress controller.
    pub connections: u32,
    /// Whether the old banner is still declared.
    pub banner: bool,
    /// The readme.
    pub readme: &'static str,
}

impl Decisions {
    /// The first commit.
    pub fn first() -> Self {
        Self { cart: "2.2.0", replicas: 2, cache_mb: 256, connections: 4096, banner: true, readme: "# fleet\n\nWhat runs, and nothing else.\n" }
    }

    /// All files of the repository.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let mut put = |path: &str, content: String| drop(files.insert(path.to_owned(), content));
        put("README.md", self.readme.to_owned());
        put("apps/shop/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    team: shop\n".into());
        put("apps/shop/cart.yaml", self.cart());
        put("apps/shop/settings.yaml", self.settings());
        put("apps/shop/network.yaml", NETWORK.to_owned());
        if self.banner {
            put("apps/shop/banner.yaml", BANNER.to_owned());
        }
        put("platform/ingress/controller.yaml", INGRESS.to_owned());
        put("platform/ingress/rbac.yaml", INGRESS_RBAC.to_owned());
        put(
            "platform/ingress/settings.yaml",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ingress-settings\ndata:\n  # Per worker; see the load tests.\n  worker-connections: \"{}\"\n  use-gzip: \"true\"\n",
                self.connections
            ),
        );
        files
    }

    fn cart(&self) -> String {
        format!(
            r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
  labels:
    app.kubernetes.io/name: cart
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app.kubernetes.io/name: cart
  template:
    metadata:
      labels:
        app.kubernetes.io/name: cart
    spec:
      containers:
        - name: cart
          image: registry.example.com/shop/cart:{version}
          ports:
            - name: http
              containerPort: 8080
          env:
            - name: SETTINGS
              value: /etc/cart/settings.yaml
          resources:
            requests:
              cpu: 250m
              memory: 256Mi
            limits:
              memory: 0.5Gi
          volumeMounts:
            - name: settings
              mountPath: /etc/cart
      volumes:
        - name: settings
          configMap:
            name: cart-settings
---
apiVersion: v1
kind: Service
metadata:
  name: cart
spec:
  selector:
    app.kubernetes.io/name: cart
  ports:
    - name: http
      port: 80
      targetPort: http
"#,
            replicas = self.replicas,
            version = self.cart
        )
    }

    fn settings(&self) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cart-settings\ndata:\n  settings.yaml: |\n    cacheMb: {}\n    currency: EUR\n",
            self.cache_mb
        )
    }
}

const NETWORK: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: cart
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: cart
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: 8080
";

const BANNER: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: summer-banner
data:
  text: Everything must go
";

const INGRESS: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingress
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: ingress
  template:
    metadata:
      labels:
        app.kubernetes.io/name: ingress
    spec:
      serviceAccountName: ingress
      containers:
        - name: controller
          image: registry.example.com/platform/ingress:1.9.4
          ports:
            - containerPort: 443
---
apiVersion: v1
kind: Service
metadata:
  name: ingress
spec:
  type: LoadBalancer
  selector:
    app.kubernetes.io/name: ingress
  ports:
    - port: 443
";

const INGRESS_RBAC: &str = "apiVersion: v1
kind: ServiceAccount
metadata:
  name: ingress
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: demo-ingress
rules:
  - apiGroups: [\"\"]
    resources: [services, endpoints]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: demo-ingress
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: demo-ingress
subjects:
  - kind: ServiceAccount
    name: ingress
    namespace: ingress
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_changes_the_file_it_is_about_and_no_other() {
        let first = Decisions::first().files();
        let next = Decisions { cart: "2.3.0", ..Decisions::first() }.files();
        let changed: Vec<_> = first.iter().filter(|(path, text)| next.get(*path) != Some(text)).map(|(path, _)| path.as_str()).collect();
        assert_eq!(changed, ["apps/shop/cart.yaml"]);
        assert_eq!(Decisions { banner: false, ..Decisions::first() }.files().len(), first.len() - 1);
    }
}
