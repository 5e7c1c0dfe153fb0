//! What rides along with what a backup takes, and what it fails on. pure

use std::collections::HashMap;

use super::{
    Decision, Left, Plan, Then, Unsure,
    view::{Item, Links},
};
use crate::velero::scope::Tri;

impl Plan<'_, '_> {
    /// Follows what leads to what, first from what is taken, then from what may be.
    pub(super) fn related(&self, decisions: &mut [Decision]) {
        let taken = |d: &Decision| matches!(d, Decision::Listed | Decision::Beside(_));
        let mut open: Vec<usize> = (0..decisions.len()).filter(|n| taken(&decisions[*n])).collect();
        let mut perhaps = Vec::new();
        while let Some(n) = open.pop() {
            for (to, certain) in self.leads_to(n) {
                if taken(&decisions[to]) {
                    continue;
                }
                if !certain {
                    perhaps.push(to);
                    continue;
                }
                match self.admitted(to) {
                    Ok(()) => {
                        decisions[to] = Decision::Beside(n);
                        open.push(to);
                    }
                    Err(unsure @ Decision::Unsure(_)) => decisions[to] = unsure,
                    Err(_) => {}
                }
            }
        }
        for to in perhaps {
            if matches!(decisions[to], Decision::Left(_)) && self.admitted(to).is_ok() {
                decisions[to] = Decision::Unsure(Unsure::Written);
            }
        }
        let mut open: Vec<usize> = (0..decisions.len()).filter(|n| matches!(decisions[*n], Decision::Unsure(_))).collect();
        while let Some(n) = open.pop() {
            for (to, _) in self.leads_to(n) {
                if matches!(decisions[to], Decision::Left(_)) && self.admitted(to).is_ok() {
                    decisions[to] = Decision::Unsure(Unsure::Beside(n));
                    open.push(to);
                }
            }
        }
        self.unread_pods(decisions);
        self.unread_accounts(decisions);
    }

    /// What an object leads to (pkg/util/actionhelpers, pkg/itemblock/actions), each with whether it did at the moment that is spoken of.
    fn leads_to(&self, n: usize) -> Vec<(usize, bool)> {
        let item = self.item(n);
        let namespace = item.id.namespace.as_deref();
        let same = |n: usize| self.then(n) == Then::Same;
        let mut to = Vec::new();
        match &item.links {
            Links::None if item.id.gk.is("", "ServiceAccount") => {
                let key = (namespace.unwrap_or_default().to_owned(), item.id.name.to_string());
                for &binding in self.view.bindings.get(&key).into_iter().flatten().filter(|b| self.then(**b) != Then::NotYet) {
                    to.push((binding, same(binding)));
                    if let Links::Binding { role, .. } = &self.item(binding).links {
                        let role = self.view.find_named("rbac.authorization.k8s.io", "ClusterRole", None, role);
                        to.extend(role.map(|r| (r, same(binding))));
                    }
                }
            }
            Links::None | Links::Binding { .. } => {}
            Links::Pod { claims, class, .. } => {
                let class = class.as_ref().and_then(|c| self.view.find_named("scheduling.k8s.io", "PriorityClass", None, c));
                let claims = claims.iter().filter_map(|c| self.view.find_named("", "PersistentVolumeClaim", namespace, c));
                // Neither can be changed in a Pod.
                to.extend(class.into_iter().chain(claims).map(|n| (n, true)));
            }
            Links::Claim { volume: Some(volume), bound: true } => {
                to.extend(self.view.find_named("", "PersistentVolume", None, volume).map(|v| (v, same(n))));
                let key = (namespace.unwrap_or_default(), item.id.name.to_string());
                // Which of its Pods ran then is known of no other moment than now.
                let pods = self.view.pods_by_claim.get(&key).into_iter().flatten();
                to.extend(pods.map(|p| (*p, self.then.is_empty())));
                to.extend(self.grouped(n, item).into_iter().map(|c| (c, same(n) && same(c))));
            }
            Links::Claim { .. } => {}
        }
        to
    }

    /// Claims of the same volume group (`getGroupedPVCs`).
    fn grouped(&self, n: usize, item: &Item<'_>) -> Vec<usize> {
        let Some(label) = &self.scope.group_label else { return Vec::new() };
        let Some(group) = item.labels().get(&**label).filter(|v| !v.is_empty()) else { return Vec::new() };
        let same = |m: &usize| {
            let other = self.item(*m);
            *m != n && other.namespace == item.namespace && other.labels().get(&**label) == Some(group)
        };
        self.view.kinds[item.kind].items.iter().copied().filter(same).collect()
    }

    /// Pods of which only metadata is known may lead to any claim of their namespace and to any priority class.
    fn unread_pods(&self, decisions: &mut [Decision]) {
        let unread = |n: &usize| matches!(self.item(*n).links, Links::Pod { unread: true, .. });
        let all_read = self.view.kind_of("pods").is_some_and(|k| self.view.kinds[k].complete && !self.view.kinds[k].items.iter().any(unread));
        if all_read {
            return;
        }
        for resource in ["persistentvolumeclaims", "priorityclasses.scheduling.k8s.io"] {
            for &n in self.view.kind_of(resource).iter().flat_map(|k| &self.view.kinds[*k].items) {
                if matches!(decisions[n], Decision::Left(Left::Selector | Left::ClusterScope)) && self.admitted(n).is_ok() {
                    decisions[n] = Decision::Unsure(Unsure::Pods);
                }
            }
        }
    }

    /// ServiceAccounts that were not read may lead to the roles bound to them, and bindings that were not read to any role.
    fn unread_accounts(&self, decisions: &mut [Decision]) {
        let accounts = self.view.complete("serviceaccounts") && self.view.complete("clusterrolebindings.rbac.authorization.k8s.io");
        if accounts {
            return;
        }
        for resource in ["clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"] {
            for &n in self.view.kind_of(resource).iter().flat_map(|k| &self.view.kinds[*k].items) {
                if decisions[n] == Decision::Left(Left::ClusterScope) && self.admitted(n).is_ok() {
                    decisions[n] = Decision::Unsure(Unsure::Unread);
                }
            }
        }
    }

    /// A definition goes along with the first object of its kind, if definitions are neither listed nor excluded (`backupCRD`).
    pub(super) fn definitions(&self, decisions: &mut [Decision]) {
        let Some(kind) = self.view.kind_of("customresourcedefinitions.apiextensions.k8s.io") else { return };
        let (include, exclude) = &self.types[kind];
        if *include == Tri::Yes || *exclude == Tri::Yes {
            return;
        }
        let by_name: HashMap<&str, usize> = self.view.kinds[kind].items.iter().map(|n| (&*self.item(*n).id.name, *n)).collect();
        for custom in &self.view.kinds {
            let Some(&definition) = by_name.get(&*custom.resource) else { continue };
            if !matches!(decisions[definition], Decision::Left(Left::ClusterScope)) {
                continue;
            }
            let first = |is: fn(&Decision) -> bool| custom.items.iter().copied().find(|n| is(&decisions[*n]));
            if let Some(n) = first(|d| matches!(d, Decision::Listed | Decision::Beside(_))) {
                decisions[definition] = Decision::Beside(n);
            } else if let Some(n) = first(|d| matches!(d, Decision::Unsure(_))) {
                decisions[definition] = Decision::Unsure(Unsure::Beside(n));
            } else if !custom.complete {
                decisions[definition] = Decision::Unsure(Unsure::Unread);
            }
        }
    }

    /// With any resource policy Velero looks up every claim that a Pod mounts, and fails on a Pod whose claim is not there
    /// (internal/volumehelper `ShouldPerformFSBackup`). What the Pod leads to is taken all the same.
    pub(super) fn fail(&self, decisions: &mut [Decision]) {
        // It looks up no claims where claims are filtered out.
        let claims = self.view.kind_of("persistentvolumeclaims");
        if !self.policed || !claims.is_some_and(|k| self.view.kinds[k].complete && self.types[k].0 == Tri::Yes) {
            return;
        }
        for (n, item) in self.view.items.iter().enumerate() {
            let Links::Pod { claims, .. } = &item.links else { continue };
            let claim = |c: &String| self.view.find_named("", "PersistentVolumeClaim", item.id.namespace.as_deref(), c);
            let there = |c: &String| claim(c).is_some_and(|n| self.then(n) != Then::NotYet);
            if matches!(decisions[n], Decision::Listed | Decision::Beside(_)) && !claims.iter().all(there) {
                decisions[n] = Decision::Left(Left::Fails);
            }
        }
    }
}
