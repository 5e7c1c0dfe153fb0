#!/usr/bin/env python3
"""Prints src/drift/schema/types.txt from the sources of one Kubernetes release.

Usage: schema_table.py GOMODCACHE VERSION > src/drift/schema/types.txt     (VERSION for example 36.3)

List and map semantics and quantities come from api/openapi-spec/swagger.json; which fields are pointers (so that a zero value is
kept and means something) comes from the Go types, since OpenAPI does not say.
"""
import json, os, re, sys

MODULES, MINOR = sys.argv[1], sys.argv[2]
SWAGGER = f"{MODULES}/k8s.io/kubernetes@v1.{MINOR}/api/openapi-spec/swagger.json"
ROOTS = [
    (f"{MODULES}/k8s.io/api@v0.{MINOR}", "io.k8s.api"),
    (f"{MODULES}/k8s.io/apimachinery@v0.{MINOR}/pkg/apis", "io.k8s.apimachinery.pkg.apis"),
    (f"{MODULES}/k8s.io/apiextensions-apiserver@v0.{MINOR}/pkg/apis", "io.k8s.apiextensions-apiserver.pkg.apis"),
    (f"{MODULES}/k8s.io/kube-aggregator@v0.{MINOR}/pkg/apis", "io.k8s.kube-aggregator.pkg.apis"),
]
SHORT = ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis."]
OPAQUE = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "i",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "d",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "t",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "t",
}
# Either a schema, or something beside it that has no fields of its own.
PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
EITHER = {PROPS + "OrArray", PROPS + "OrBool", PROPS + "OrStringArray"}


def pointers():
    """type name -> set of JSON names of pointer fields, embedded structs flattened."""
    own, embeds = {}, {}
    for folder, prefix in ROOTS:
        for base, _, files in os.walk(folder):
            group, _, version = os.path.relpath(base, folder).partition("/")
            if not re.fullmatch(r"v\d+((alpha|beta)\d+)?", version):
                continue
            for file in files:
                if not re.fullmatch(r"types.*\.go", file):
                    continue
                current = None
                for line in open(os.path.join(base, file)):
                    if m := re.match(r"type (\w+) struct \{", line):
                        current = f"{prefix}.{group}.{version}.{m[1]}"
                        own[current], embeds[current] = set(), []
                    elif line.startswith("}"):
                        current = None
                    elif current and (m := re.match(r'\s+(?:(\w+)\s+)?(\*?)([\w.\[\]*]+)\s+`.*json:"([^",]*)', line)):
                        if m[4] == "" and m[1] is None:
                            embeds[current].append(f"{prefix}.{group}.{version}.{m[3]}")
                        elif m[2]:
                            own[current].add(m[4])
    def all_of(name, seen=()):
        out = set(own.get(name, ()))
        for e in embeds.get(name, ()):
            if e not in seen:
                out |= all_of(e, (*seen, e))
        return out
    return {name: all_of(name) for name in own}


spec = json.load(open(SWAGGER))["definitions"]
is_pointer = pointers()


def short(name):
    for prefix in SHORT:
        if name.startswith(prefix):
            return name[len(prefix):]
    return name


def element(schema, queue):
    """q, i, d, t, b, the name of a struct, ? for free form, or - for plain scalars."""
    ref = schema.get("$ref", "").removeprefix("#/definitions/")
    if ref in EITHER:
        ref = PROPS
    if ref in OPAQUE:
        return OPAQUE[ref]
    if ref and "properties" in spec[ref]:
        queue.append(ref)
        return short(ref)
    if ref and spec[ref].get("type", "object") != "object":
        return "-"
    if ref or schema.get("type", "object") == "object":
        return "?"
    return "b" if schema.get("format") == "byte" else "-"


def field(schema, pointer, queue):
    star = "*" if pointer else ""
    if schema.get("type") == "array":
        kind = schema.get("x-kubernetes-list-type", "atomic")
        lead = {"atomic": "=", "set": "~"}.get(kind) or "#" + ",".join(schema["x-kubernetes-list-map-keys"]) + "#"
        return f"[{lead}{element(schema['items'], queue)}"
    if "additionalProperties" in schema:
        lead = "=" if schema.get("x-kubernetes-map-type") == "atomic" else ""
        inner = schema["additionalProperties"]
        # A map of lists (requests of claims, extra of users) is free form here.
        e = "?" if inner.get("type") == "array" else element(inner, queue)
        return f"{{{lead}{e}"
    return star + element(schema, queue)


queue, kinds, done, lines = [], [], set(), []
for name, d in sorted(spec.items()):
    meta = d.get("properties", {}).get("metadata", {}).get("$ref", "")
    if meta.endswith(".ObjectMeta") and len(d.get("x-kubernetes-group-version-kind", [])) == 1:
        g = d["x-kubernetes-group-version-kind"][0]
        kinds.append(f"kind\t{g['group']}\t{g['version']}\t{g['kind']}\t{short(name)}")
        queue.append(name)
while queue:
    name = queue.pop()
    if name in done:
        continue
    done.add(name)
    d, out = spec[name], []
    for key, schema in sorted(d["properties"].items()):
        # What the server alone writes is not looked into.
        opaque = key == "status" and "metadata" in d["properties"] or key == "managedFields"
        text = "?" if opaque else field(schema, key in is_pointer.get(name, ()), queue)
        out.append(key if text == "-" else f"{key}:{text}")
    atomic = "=" if d.get("x-kubernetes-map-type") == "atomic" else ""
    lines.append(f"type\t{short(name)}\t{atomic}\t{' '.join(out)}")
print(f"# Shapes of the built-in kinds of Kubernetes 1.{MINOR}; printed by tests/tools/schema_table.py. Facts from kubernetes/api/openapi-spec")
print("# and the Go types (Apache-2.0). A field without a shape is a plain scalar without a meaningful zero.")
print("# * pointer: zero and empty mean something.  q quantity  i int-or-string  d duration  t time  b base64 bytes  - scalar  ? free form")
print("# [=X atomic list  [~X set  [#k#X keyed list  {X map  {=X atomic map  X struct  third column = : the struct is atomic")
print("\n".join(sorted(kinds) + sorted(lines)))
