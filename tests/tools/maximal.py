#!/usr/bin/env python3
"""Writes manifests of every built-in kind with as many fields as a real API server accepts.

usage: tests/tools/maximal.py KUBECONFIG FOLDER [KIND ...]

Every field of the served OpenAPI v3 schema is set; what the server refuses in a dry run is given another value, or taken out, until the
server accepts the rest. Of each kind two files are made: KIND.yaml with all of it, and KIND-bare.yaml with the same structures but
without any leaf that the server can do without, so that it fills in its defaults. Start the server without admission webhooks, policies,
quotas and NamespaceLifecycle, which would judge the values and not the shape.
"""
import base64, copy, json, os, re, ssl, sys, tempfile, http.client, urllib.parse
import yaml

config = yaml.safe_load(open(sys.argv[1]))
folder = sys.argv[2]
only = sys.argv[3:]
user = config["users"][0]["user"]
cluster = config["clusters"][0]["cluster"]


def file_of(data):
    f = tempfile.NamedTemporaryFile(delete=False)
    f.write(base64.b64decode(data))
    f.close()
    return f.name


context = ssl.create_default_context(cafile=file_of(cluster["certificate-authority-data"]))
context.load_cert_chain(file_of(user["client-certificate-data"]), file_of(user["client-key-data"]))
host = urllib.parse.urlparse(cluster["server"]).netloc
connection = http.client.HTTPSConnection(host, context=context)


def call(method, path, body=None):
    global connection
    for _ in range(3):
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (http.client.HTTPException, OSError):
            connection = http.client.HTTPSConnection(host, context=context)
    raise SystemExit(f"no answer to {method} {path}")


NAMES = {
    "host": "example.com", "hostname": "a", "subdomain": "a", "ip": "192.0.2.1", "cidr": "192.0.2.0/24", "clusterIP": "10.0.0.77", "path": "/a", "mountPath": "/a", "subPath": "a",
    "devicePath": "/dev/a", "image": "example.com/a:1", "schedule": "0 1 * * *", "timeZone": "Etc/UTC", "url": "https://example.com/a",
    "uid": "00000000-0000-0000-0000-000000000001", "resourceVersion": None, "generateName": None, "selfLink": None, "fieldPath": "metadata.name", "expression": "true",
    "messageExpression": "'no'", "valueExpression": "'a'", "restartPolicy": "Always", "mode": 256, "defaultMode": 256, "port": 8443, "containerPort": 8080, "hostPort": 8080, "gmsaCredentialSpecName": "a",
    "endpoints": "a", "kind": "Widget", "apiGroup": "example.com", "apiVersion": "example.com/v1", "group": "example.com", "version": "v1", "topologyKey": "kubernetes.io/hostname",
    "driver": "csi.example.com", "provisioner": "csi.example.com", "attacher": "csi.example.com", "nodeName": "a", "key": "a", "name": "a", "namespace": "exam", "resource": "limits.cpu",
    "controller": "example.com/a", "handler": "a", "ports": None, "value": "a", "operator": "In", "jsonPath": ".spec.a", "singular": "widget", "plural": "widgets", "listKind": "WidgetList",
    "iqn": "iqn.2001-04.com.example:storage.disk1", "nodePort": 30077, "healthCheckNodePort": None, "reason": "Invalid", "containerName": "a", "signerName": "example.com/a", "request": None,
    "whenUnsatisfiable": "DoNotSchedule", "whenScaled": "Delete", "whenDeleted": "Delete", "maxSurge": "30%", "maxUnavailable": 0, "windowsOptions": None,
    "loadBalancerClass": "example.com/a", "externalName": None, "deletionTimestamp": None, "deletionGracePeriodSeconds": None, "creationTimestamp": None, "ephemeralContainers": None,
    "paused": True, "suspend": True, "manualSelector": None, "externalTrafficPolicy": "Local", "terminationGracePeriodSeconds": 77, "volumeName": "a", "dataSourceRef": None, "dataSource": None,
    "preemptionPolicy": None, "wwids": None, "managedFields": None, "hostUsers": None, "shareProcessNamespace": True, "hostPID": None, "podSelector": "@", "nodeSelectorTerms": "@",
    "successThreshold": 1, "responseExpression": None, "globalDefault": False, "unhealthyPodEvictionPolicy": "AlwaysAllow", "priority": None, "priorityClassName": None, "runtimeClassName": "a",
    "overhead": None, "completionMode": "Indexed", "managedBy": None, "resourceClaimName": "a", "schedulingGates": None, "workloadRef": None, "schedulingGroup": None,
}
GENERIC = ["a", "/a", "1", "192.0.2.1", "https://example.com", "YQ==", "a.example.com", "example.com/a", "1Gi", "2026-01-01T00:00:00Z", "0"]
SPREAD = {"livenessProbe": "httpGet", "readinessProbe": "tcpSocket", "startupProbe": "grpc", "postStart": "exec", "preStop": "httpGet"}
HANDLERS = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"]
PLACES = {  # (type, field): value, where the name alone does not tell
    ("ObjectFieldSelector", "apiVersion"): "v1", ("VolumeMount", "name"): "v0", ("VolumeMount", "subPathExpr"): None, ("KeyToPath", "path"): "a", ("DownwardAPIVolumeFile", "path"): "a",
    ("Container", "volumeDevices"): None, ("ResourceRequirements", "claims"): None, ("Container", "resizePolicy"): None, ("PodAffinityTerm", "matchLabelKeys"): None,
    ("PodAffinityTerm", "mismatchLabelKeys"): None, ("TopologySpreadConstraint", "matchLabelKeys"): None, ("DownwardAPIVolumeFile", "resourceFieldRef"): None, ("PodSpec", "resources"): None,
    ("NodeSelectorTerm", "matchFields"): None, ("ServiceAccountTokenProjection", "path"): "token", ("ServiceAccountTokenProjection", "expirationSeconds"): 7200,
    ("PodSpec", "setHostnameAsFQDN"): None, ("PodSpec", "hostnameOverride"): None, ("PodSpec", "hostNetwork"): None, ("PodDNSConfig", "nameservers"): ["192.0.2.1"],
    ("ResourceFieldSelector", "divisor"): "1", ("PodOS", "name"): "linux", ("SecurityContext", "procMount"): None, ("PodSecurityContext", "seLinuxChangePolicy"): "Recursive",
    ("ContainerRestartRule", "action"): "Restart", ("LabelSelectorRequirement", "operator"): "In", ("Toleration", "operator"): "Equal", ("Toleration", "tolerationSeconds"): None,
    ("VolumeResourceRequirements", "requests"): {"storage": "2Gi"}, ("VolumeResourceRequirements", "limits"): {"storage": "3Gi"}, ("EnvVarSource", "fileKeyRef"): None,
    ("PersistentVolumeClaimSpec", "accessModes"): ["ReadWriteOnce"], ("PersistentVolumeSpec", "accessModes"): ["ReadWriteOnce"], ("VolumeMount", "recursiveReadOnly"): None,
    ("ISCSIVolumeSource", "initiatorName"): None, ("SELinuxOptions", "level"): "s0", ("Container", "restartPolicyRules"): None, ("SecurityContext", "windowsOptions"): None,
    ("PodSecurityContext", "windowsOptions"): None, ("IngressServiceBackend", "port"): {"name": "http"}, ("IngressBackend", "resource"): None, ("PodSpec", "resourceClaims"): None,
}
RULES = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]
METRICS = [
    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "3Gi"}}},
    {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "a", "target": {"type": "Utilization", "averageUtilization": 77}}},
    {"type": "Pods", "pods": {"metric": {"name": "a", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "AverageValue", "averageValue": "1500m"}}},
    {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "a", "apiVersion": "v1"}, "metric": {"name": "a"}, "target": {"type": "Value", "value": "2k"}}},
    {"type": "External", "external": {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": "30"}}},
]
WEBHOOK = {"name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore", "matchPolicy": "Exact", "timeoutSeconds": 7, "rules": [{**RULES[0], "scope": "Namespaced"}],
           "clientConfig": {"service": {"name": "a", "namespace": "exam", "path": "/a", "port": 8443}}, "namespaceSelector": {"matchLabels": {"a": "b"}}, "objectSelector": {"matchLabels": {"a": "b"}},
           "matchConditions": [{"name": "a", "expression": "true"}]}
BARE_WEBHOOK = {"name": "b.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": RULES, "clientConfig": {"url": "https://example.com/a"}}
SEEDS = {  # kind: what stands at a place where fields depend on one another; None takes the place out
    "PersistentVolume": {"spec.accessModes": ["ReadWriteOnce"], "spec.capacity": {"storage": "2Gi"}, "spec.volumeAttributesClassName": None, "spec.iscsi.initiatorName": None},
    "ReplicationController": {"spec.selector": {"a": "b"}},
    "StatefulSet": {"spec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 7}}, "spec.volumeClaimTemplates.0.metadata.name": "claim", "spec.template.spec.volumes.0.name": "v0"},
    "Job": {"spec.selector": None, "spec.template.spec.restartPolicy": "OnFailure", "spec.podFailurePolicy": None, "spec.successPolicy": None, "spec.backoffLimitPerIndex": 3, "spec.completions": 7, "spec.parallelism": 2},
    "CronJob": {"spec.jobTemplate.spec.selector": None, "spec.jobTemplate.spec.template.spec.restartPolicy": "Never", "spec.jobTemplate.spec.successPolicy": None, "spec.jobTemplate.spec.completions": 7,
                "spec.jobTemplate.spec.podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}, "spec.schedule": "0 1 * * *", "spec.suspend": True},
    "Service": {"spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}, {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
                                                           {"name": "dns-tcp", "port": 53, "protocol": "TCP"}], "selector": {"a": "b"}, "sessionAffinity": "ClientIP", "publishNotReadyAddresses": True,
                         "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 77}}, "externalIPs": ["192.0.2.7"], "loadBalancerIP": "192.0.2.8", "loadBalancerSourceRanges": ["192.0.2.0/24"],
                         "ipFamilyPolicy": "SingleStack", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": False, "loadBalancerClass": "example.com/a",
                         "trafficDistribution": "PreferClose"}},
    "PriorityLevelConfiguration": {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 7, "lendablePercent": 7, "borrowingLimitPercent": 7,
                                                                           "limitResponse": {"type": "Queue", "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": 7}}}}},
    "VolumeAttachment": {"spec.source": {"persistentVolumeName": "a"}},
    "MutatingAdmissionPolicy": {"spec.mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/metadata/labels/x', value: 'y'}]"}}], "spec.matchConstraints.resourceRules": RULES, "spec.paramKind": None},
    "ServiceCIDR": {"spec.cidrs": ["192.0.2.0/24"]},
    "Namespace": {"spec": None},
    "DeviceClass": {"spec.extendedResourceName": "example.com/gpu", "spec.selectors": [{"cel": {"expression": "true"}}], "spec.config": [{"opaque": {"driver": "a.example.com", "parameters": {"a": 1}}}]},
    "FlowSchema": {"spec.rules": [{"subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": "a", "namespace": "exam"}}, {"kind": "Group", "group": {"name": "a"}}],
                                   "resourceRules": [{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "namespaces": ["exam"], "clusterScope": True}],
                                   "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]}], "spec.distinguisherMethod": {"type": "ByUser"}},
    "EndpointSlice": {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": True, "serving": True, "terminating": False}, "hostname": "a", "nodeName": "a", "zone": "z",
                                                            "targetRef": {"kind": "Pod", "name": "a", "namespace": "exam"}, "hints": {"forZones": [{"name": "z"}]}}]},
    "PodDisruptionBudget": {"spec.maxUnavailable": None, "spec.minAvailable": "30%"},
    "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress", "Egress"],
                               "ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}],
                                            "ports": [{"port": 8080, "endPort": 8090, "protocol": "UDP"}, {"port": "http"}]}],
                               "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 53}]}]}},
    "ResourceClaim": {"spec.devices.constraints": None, "spec.devices.config": None, "spec.devices.requests": [{"name": "a", "exactly": {"deviceClassName": "a", "allocationMode": "ExactCount", "count": 2}}]},
    "ResourceClaimTemplate": {"spec.spec.devices.constraints": None, "spec.spec.devices.config": None, "spec.spec.devices.requests": [{"name": "a", "exactly": {"deviceClassName": "a"}}]},
    "ValidatingWebhookConfiguration": {"webhooks": [WEBHOOK, BARE_WEBHOOK]},
    "MutatingWebhookConfiguration": {"webhooks": [{**WEBHOOK, "reinvocationPolicy": "IfNeeded"}, BARE_WEBHOOK]},
    "HorizontalPodAutoscaler": {"spec.metrics": METRICS, "spec.minReplicas": 2, "spec.maxReplicas": 7, "spec.scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"}},
    "ClusterRole": {"rules": [{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list"], "resourceNames": ["a", "b"]}, {"nonResourceURLs": ["/a", "/b"], "verbs": ["get"]}], "aggregationRule": None},
    "Role": {"rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"], "resourceNames": ["a"]}]},
    "ClusterRoleBinding": {"subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "exam"}, {"kind": "User", "name": "a"}, {"kind": "Group", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}],
                           "roleRef": {"kind": "ClusterRole", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}},
    "RoleBinding": {"subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "exam"}, {"kind": "User", "name": "a"}], "roleRef": {"kind": "Role", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}},
    "ResourceQuota": {"spec": {"hard": {"pods": "7", "requests.cpu": "1500m"}, "scopes": ["NotTerminating"], "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["a"]}]}}},
    "IngressClass": {"spec.parameters": {"apiGroup": "example.com", "kind": "Widget", "name": "a", "scope": "Namespace", "namespace": "exam"}},
    "Ingress": {"spec": {"ingressClassName": "a", "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}, "tls": [{"hosts": ["a.example.com"], "secretName": "a"}],
                         "rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/a", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"name": "http"}}}}]}}]}},
    "CustomResourceDefinition": {"spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets", "categories": ["all"], "shortNames": ["wd"]},
                                          "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "a", "namespace": "exam"}}}},
                                          "versions": [{"name": "v1", "served": True, "storage": True, "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a", "priority": 1}],
                                                        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
                                                        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                                                            "spec": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "default": "x", "pattern": "^[a-z]*$", "maxLength": 7},
                                                                     "n": {"type": "integer", "minimum": 0, "maximum": 7, "format": "int32"}, "p": {"x-kubernetes-int-or-string": True},
                                                                     "l": {"type": "array", "maxItems": 7, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                                                                           "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "f": {"type": "number", "multipleOf": 0.5}}}},
                                                                     "e": {"type": "string", "enum": ["a", "b"], "nullable": True}},
                                                                     "x-kubernetes-validations": [{"rule": "true", "message": "never"}]}}}}}]}},
    "CSIDriver": {"spec.serviceAccountTokenInSecrets": None, "spec.tokenRequests": [{"audience": "a", "expirationSeconds": 7200}], "spec.volumeLifecycleModes": ["Persistent", "Ephemeral"]},
    "ResourceSlice": {"spec": {"driver": "a.example.com", "nodeName": "a", "pool": {"name": "a", "generation": 1, "resourceSliceCount": 1},
                               "devices": [{"name": "a", "attributes": {"a": {"string": "x"}, "b": {"int": 7}}, "capacity": {"memory": {"value": "3Gi"}}}]}},
}
SEEDS["ValidatingAdmissionPolicy"] = {"spec.matchConstraints.resourceRules": RULES, "spec.paramKind": None}
UNIONS = {  # item type: fields that stay in each item; every other field gets an item of its own
    "Volume": ["name"], "VolumeProjection": [], "EnvFromSource": ["prefix"], "EnvVarSource": [], "MetricSpec": ["type"], "NodeSelectorRequirement": None,
}
SKIPPED = {"Event", "Node", "CSINode", "CertificateSigningRequest"}  # written by programs, never declared
GONE = {"gitRepo", "glusterfs", "rbd", "cephfs", "flocker", "photonPersistentDisk", "quobyte", "scaleIO", "storageos", "vsphereVolume", "azureDisk", "azureFile", "portworxVolume", "awsElasticBlockStore",
        "gcePersistentDisk", "cinder", "podCertificate", "clusterTrustBundle"}


class Maker:
    def __init__(self, schemas):
        self.schemas = schemas

    def resolve(self, s):
        name = None
        while True:
            if "$ref" in s:
                name = s["$ref"].rsplit("/", 1)[1]
                s = self.schemas[name]
            elif len(s.get("allOf", [])) == 1:
                s = {**s["allOf"][0], **{k: v for k, v in s.items() if k not in ("allOf", "default")}}
            else:
                return name, s

    def make(self, s, field, seen, parent=""):
        if (parent, field) in PLACES:
            return copy.deepcopy(PLACES[parent, field])
        name, s = self.resolve(s)
        short = (name or "").rsplit(".", 1)[-1]
        if seen.count(name) > 1 and name:
            return None
        seen = seen + [name] if name else seen
        if short == "Quantity":
            return "2"
        if short == "IntOrString":
            return NAMES.get(field, 8080)
        if short in ("Time", "MicroTime"):
            return "2026-01-01T00:00:00Z" if short == "Time" else "2026-01-01T00:00:00.000000Z"
        if short in ("RawExtension", "JSON"):
            return {"a": 1}
        if short == "FieldsV1":
            return None
        if short == "JSONSchemaProps":
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "description": "a"}
        if short in ("JSONSchemaPropsOrBool", "JSONSchemaPropsOrArray"):
            return None
        if short == "ObjectMeta":
            return {"labels": {"a": "b"}, "annotations": {"a": "b"}}
        if short == "LabelSelector":
            return {"matchLabels": {"a": "b"}} if field == "selector" else {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]}
        if short == "PodTemplateSpec" or (short == "PodSpec" and parent in ("Pod",)):
            pass
        if field in NAMES and NAMES[field] is None and not (field == "preemptionPolicy" and parent == "PriorityClass"):
            return None
        if s.get("enum"):
            return NAMES[field] if NAMES.get(field) in s["enum"] else next(e for e in s["enum"] if e != "")
        kind = s.get("type")
        if kind == "array":
            item_name, item = self.resolve(s["items"])
            item_short = (item_name or "").rsplit(".", 1)[-1]
            if UNIONS.get(item_short) is not None and "properties" in item:
                stay, out = UNIONS[item_short], []
                for n, f in enumerate(x for x in item["properties"] if x not in stay and x not in GONE):
                    one = {k: (f"v{n}" if k == "name" else f[0].upper() + f[1:]) for k in stay}
                    one[f] = self.make(item["properties"][f], f, seen, item_short)
                    out.append(one)
                return out
            if item_short == "EnvVar":
                source = self.resolve(item["properties"]["valueFrom"])[1]["properties"]
                return [{"name": "PLAIN", "value": "a"}] + [{"name": f.upper(), "valueFrom": {f: self.make(source[f], f, seen, "EnvVarSource")}} for f in source]
            v = self.make(s["items"], field, seen, short)
            return None if v is None else [v]
        if "properties" in s:
            out = {}
            for f, p in s["properties"].items():
                if f == "status" or f in GONE:
                    continue
                if f in HANDLERS and field in SPREAD and f != SPREAD[field]:
                    continue
                v = self.make(p, f, seen, short)
                if v is not None:
                    out[f] = v
            return out
        if "additionalProperties" in s:
            v = self.make(s["additionalProperties"], "value", seen, short)
            keys = {"limits": "cpu", "requests": "cpu", "hard": "limits.cpu", "capacity": "storage", "allocatable": "cpu", "overhead": "cpu"}
            if field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
                return {"cpu": "2"}
            if field in keys:
                return {keys[field]: "2", **({"memory": "3Gi"} if field in ("limits", "requests") else {})}
            return {"a": v}
        if kind == "boolean":
            return NAMES.get(field, True) if isinstance(NAMES.get(field, True), bool) else True
        if kind in ("integer", "number"):
            n = NAMES.get(field, 7)
            return n if isinstance(n, int) else 7
        if kind == "string":
            if s.get("format") == "byte":
                return "YQ=="
            n = NAMES.get(field, "a")
            return n if isinstance(n, str) and n != "@" else "a"
        return {"a": 1} if kind == "object" else None


def split(path):
    steps = []
    for part in re.findall(r"\[([^\]]*)\]|([^.\[\]]+)", path):
        steps.append(int(part[0]) if part[0].isdigit() else (part[0].strip('"') or part[1]))
    return steps


def find(obj, steps):
    """The deepest container along the path that exists, and the step in it."""
    at, trail = obj, []
    for s in steps:
        if isinstance(at, list) and isinstance(s, int) and s < len(at) or isinstance(at, dict) and s in at:
            trail.append((at, s))
            at = at[s]
        else:
            break
    return trail


def drop(obj, steps, log, why):
    trail = find(obj, steps)
    if not trail:
        return False
    at, s = trail[-1]
    log.append(f"{'.'.join(map(str, steps))}: {why}")
    del at[s]
    while len(trail) > 1 and not at:
        trail.pop()
        at, s = trail[-1]
        if len(trail) <= 1:
            break
        del at[s]
    return True


def repair(path, obj, log):
    tried, sizes, guess = {}, set(), None
    for turn in range(500):
        status, answer = call("POST", path + "?dryRun=All&fieldValidation=Strict", obj)
        if status in (200, 201):
            smaller = kept(obj, answer)
            if smaller == obj:
                return obj
            log.append("dropped by the server without a word")
            obj = smaller
            continue
        causes = (answer.get("details") or {}).get("causes") or []
        message = answer.get("message", "")
        if not causes:
            m = re.search(r'unknown field "([^"]+)"', message)
            if m and drop(obj, split(m.group(1)), log, "unknown"):
                continue
            if status == 400 and guess:
                obj, steps = guess
                guess = None
                tried[".".join(map(str, steps))] = 99
                drop(obj, steps[:-1], log, "required")
                continue
            print("   refused:", status, message[:300])
            return None
        done = False
        before = json.dumps(obj)
        if os.environ.get("TRACE"):
            print("     ", [(c.get("field"), c.get("reason"), c.get("message", "")[:90]) for c in causes[:4]])
        for c in causes:
            field, why = c.get("field") or "", c.get("message", "")
            steps = split(field)
            key = field
            trail = find(obj, steps)
            whole = len(trail) == len(steps) and trail
            n = tried.get(key, 0)
            tried[key] = n + 1
            reason = c.get("reason")
            options = re.findall(r'supported values: (.*)', why)
            if options and whole and n < 8:
                values = re.findall(r'"([^"]+)"', options[0])
                at, s = trail[-1]
                wrong = re.findall(r'Unsupported value: "?([^":]*)', why)
                if isinstance(at[s], (dict, list)):
                    inner = next((x for x in leaves(at[s]) if wrong and str(get(at[s], x)) == wrong[0]), None)
                    if inner and n < len(values):
                        put(at[s], inner, values[n])
                        done = True
                        continue
                elif n < len(values):
                    at[s] = values[n]
                    done = True
                    continue
            if reason == "FieldValueDuplicate" and whole and n < 2 and isinstance(trail[-1][0][trail[-1][1]], str):
                trail[-1][0][trail[-1][1]] += "-b"
                done = True
                continue
            if reason == "FieldValueRequired" and not whole and len(trail) == len(steps) - 1 and n < len(GENERIC):
                at = trail[-1][0][trail[-1][1]] if trail else obj
                if isinstance(at, dict):
                    guess = (copy.deepcopy(obj), steps)
                    at[steps[-1]] = GENERIC[n]
                    done = True
                    continue
            if reason == "FieldValueInvalid" and whole and n < len(GENERIC) and not re.search(r"may not|must not|cannot|can only|immutable|mutually", why):
                at, s = trail[-1]
                if isinstance(at[s], str) and (at[s] == "2" or key in sizes):
                    sizes.add(key)
                    if n < 3:
                        at[s] = ["1", "1Mi", "1m"][n]
                        done = True
                        continue
                elif isinstance(at[s], str):
                    at[s] = GENERIC[n]
                    done = True
                    continue
                if isinstance(at[s], bool) is False and isinstance(at[s], int) and n < 4:
                    at[s] = [1, 0, 100, 80][n]
                    done = True
                    continue
            if drop(obj, steps, log, why):
                done = True
                break
        if json.dumps(obj) == before and drop(obj, split(causes[0].get("field") or "")[:-1], log, causes[0].get("message", "")):
            continue
        if not done or (json.dumps(obj) == before):
            print("   stuck:", causes[:2])
            return None
    print("   gave up")
    return None


def leaves(v, at=()):
    if isinstance(v, dict) and v:
        for k in list(v):
            yield from leaves(v[k], at + (k,))
    elif isinstance(v, list) and v:
        for i in reversed(range(len(v))):
            yield from leaves(v[i], at + (i,))
    elif at and at[0] not in ("apiVersion", "kind") and at != ("metadata", "name") and at[:2] != ("metadata", "labels"):
        yield at


def get(v, at):
    for s in at:
        v = v[s]
    return v


def put(v, at, value):
    get(v, at[:-1])[at[-1]] = value


def relabel(v, old, new):
    """Selectors of their own for each manifest, so that no controller adopts what another one made."""
    if isinstance(v, dict):
        for k, x in v.items():
            if k == "a" and x == old:
                v[k] = new
            relabel(x, old, new)
    elif isinstance(v, list):
        for x in v:
            relabel(x, old, new)


def kept(sent, stored):
    """What the server kept of it: fields behind a gate that is closed are dropped without a word."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return {k: kept(v, stored.get(k)) for k, v in sent.items() if k in stored or v in ({}, [], "", None, 0, False)}
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [kept(a, b) for a, b in zip(sent, stored)]
    return sent


def bare(path, obj):
    for at in list(leaves(obj)):
        trial = copy.deepcopy(obj)
        spot = trial
        for s in at[:-1]:
            spot = spot[s]
        if at[-1] == "name" or spot[at[-1]] in ({}, []):
            continue
        del spot[at[-1]]
        status, _ = call("POST", path + "?dryRun=All&fieldValidation=Strict", trial)
        if status in (200, 201):
            obj = trial
    return obj


def main():
    os.makedirs(folder, exist_ok=True)
    call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "exam"}})
    _, root = call("GET", "/openapi/v3")
    total = 0
    for gv, where in sorted(root["paths"].items()):
        m = re.fullmatch(r"api/(v1)|apis/([^/]+)/(v[^/]+)", gv)
        if not m:
            continue
        group, version = (m.group(2) or ""), (m.group(1) or m.group(3))
        _, document = call("GET", where["serverRelativeURL"])
        _, resources = call("GET", "/" + gv)
        maker = Maker(document["components"]["schemas"])
        for r in resources["resources"]:
            if "/" in r["name"] or not {"create", "get", "list", "patch"} <= set(r["verbs"]) or (only and r["kind"] not in only) or r["kind"] in SKIPPED:
                continue
            of = next((n for n, s in document["components"]["schemas"].items() for g in s.get("x-kubernetes-group-version-kind", [])
                       if (g["group"], g["version"], g["kind"]) == (group, version, r["kind"])), None)
            if not of:
                continue
            path = f"/{gv}/namespaces/exam/{r['name']}" if r["namespaced"] else f"/{gv}/{r['name']}"
            kinds = [None]
            if r["kind"] == "PersistentVolume":
                spec = maker.resolve(maker.schemas[of]["properties"]["spec"])[1]["properties"]
                kinds = [f for f in ["csi", "hostPath", "nfs", "iscsi", "local", "fc", "flexVolume"] if f in spec]
            for source in kinds:
                obj = maker.make({"$ref": "/" + of}, r["kind"], [])
                name = "exam-" + r["kind"].lower() + (f"-{source.lower()}" if source else "")
                if r["kind"] == "CustomResourceDefinition":
                    name = "widgets.example.com"
                if version != "v1":
                    name += f"-{version}"
                if r["kind"] == "APIService":
                    name = "v1.aggregated.example.com"
                if r["kind"] == "IPAddress":
                    name = "192.0.2.1"
                obj.update({"apiVersion": f"{group}/{version}" if group else version, "kind": r["kind"]})
                obj["metadata"] = {"name": name, "labels": {"a": "b"}, "annotations": {"a": "b"}}
                if r["namespaced"]:
                    obj["metadata"]["namespace"] = "exam"
                for where, value in SEEDS.get(r["kind"], {}).items() if version != "v1" or r["kind"] != "HorizontalPodAutoscaler" else ():
                    steps = [int(x) if x.isdigit() else x for x in where.split(".")]
                    try:
                        spot = get(obj, steps[:-1])
                        if value is None:
                            spot.pop(steps[-1], None)
                        else:
                            spot[steps[-1]] = copy.deepcopy(value)
                    except (KeyError, IndexError):
                        print("   no", where)
                if source:
                    for f in ["csi", "hostPath", "nfs", "iscsi", "local", "fc", "flexVolume"] :
                        if f != source:
                            obj["spec"].pop(f, None)
                if r["kind"] == "APIService":
                    obj["spec"].update({"group": "aggregated.example.com", "groupPriorityMinimum": 100, "versionPriority": 100})
                if r["kind"] == "Pod":
                    for f in ("runtimeClassName", "tolerations", "schedulingGates", "ephemeralContainers"):
                        obj["spec"].pop(f, None)
                relabel(obj, "b", r["kind"].lower())
                log = []
                print(obj["apiVersion"], r["kind"], source or "")
                obj = repair(path, obj, log)
                if obj is None:
                    continue
                n = len(list(leaves(obj)))
                total += n
                stem = name.removeprefix("exam-")
                for suffix, o in (("", obj), ("-bare", bare(path, copy.deepcopy(obj)))):
                    with open(f"{folder}/{stem}{suffix}.yaml", "w") as f:
                        if suffix:
                            o["metadata"]["name"] += suffix if r["kind"] not in ("CustomResourceDefinition", "APIService") else ""
                            if r["kind"] in ("CustomResourceDefinition", "APIService", "IPAddress"):
                                continue
                            relabel(o, r["kind"].lower(), r["kind"].lower() + "-bare")
                        yaml.safe_dump(o, f, default_flow_style=None, width=160, sort_keys=True)
                print(f"   {n} leaves, {len(log)} taken out")
                if os.environ.get("VERBOSE"):
                    print("   " + "\n   ".join(log))
    print(total, "leaves")


main()
