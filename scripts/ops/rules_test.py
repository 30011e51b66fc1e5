"""A check that cannot fail is none: every rule is shown what it is there for, in what the environments really render."""

import copy

import rules


def first(docs, kind, name=None):
    return next(doc for doc in docs if doc["kind"] == kind and name in (None, doc["metadata"]["name"]))


def spec(docs, kind="Deployment"):
    return rules.pod_of(first(docs, kind))["spec"]


def server(docs, kind="Deployment"):
    return spec(docs, kind)["containers"][0]


def reconfigure(docs, old, new):
    maps = [doc for doc in rules.of_kind(docs, "ConfigMap") if doc["metadata"]["name"].startswith("credit-config")]
    assert any(old in text for doc in maps for text in doc["data"].values()), old
    for doc in maps:
        doc["data"] = {name: text.replace(old, new) for name, text in doc["data"].items()}


def put(place, key, value):
    place[key] = value


# Environment, what is done to it, and what has to be complained of.
CASES = [
    ("prod", lambda d: put(first(d, "Service")["spec"], "selector", {"app": "other"}), "selectors: Service credit-server selects nothing"),
    ("prod", lambda d: put(first(d, "PodDisruptionBudget")["spec"]["selector"], "matchLabels", {}), "selects everything"),
    ("prod", lambda d: first(d, "Service")["spec"]["selector"].pop("app.kubernetes.io/component"), "selects pods of 2 workloads"),
    ("prod", lambda d: first(d, "NetworkPolicy", "egress-dns")["spec"]["egress"][0].pop("to"), "lets everybody through"),
    ("prod", lambda d: first(d, "NetworkPolicy", "egress-dns")["spec"]["egress"][0].pop("ports"), "opens every port"),
    ("prod", lambda d: put(spec(d, "CronJob"), "x", 0) or rules.pod_of(first(d, "CronJob"))["metadata"]["labels"].clear(), "egress-mongodb-backup selects nothing"),
    ("prod", lambda d: put(first(d, "Service")["spec"]["ports"][0], "targetPort", "web"), "ports: Service credit-server leads to port web"),
    ("staging", lambda d: put(first(d, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"], "name", "x"), "ports: Ingress"),
    ("prod", lambda d: put(first(d, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0], "port", 81), "ports: HTTPRoute"),
    ("prod", lambda d: put(first(d, "ServiceMonitor")["spec"]["endpoints"][0], "port", "x"), "ports: ServiceMonitor"),
    ("prod", lambda d: d.remove(first(d, "NetworkPolicy", "egress-peers")), "may not reach its peers at port 7071"),
    ("staging", lambda d: put(next(port for port in server(d)["ports"] if port["name"] == "peers"), "name", "x"), "ingress-from-peers opens port peers, which no container has"),
    ("staging", lambda d: first(d, "ExternalSecret")["spec"]["data"].pop(), "secrets: Deployment credit-server: peers.secret_file names"),
    ("prod", lambda d: put(first(d, "Deployment")["spec"], "replicas", 3), "has replicas beside an autoscaler"),
    ("prod", lambda d: put(first(d, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"], "name", "x"), "which is not there"),
    ("prod", lambda d: first(d, "HorizontalPodAutoscaler")["spec"].pop("behavior"), "has no behavior"),
    ("prod", lambda d: d.remove(first(d, "PodDisruptionBudget")), "has no PodDisruptionBudget"),
    ("prod", lambda d: spec(d).pop("topologySpreadConstraints"), "is not spread over nodes"),
    ("prod", lambda d: reconfigure(d, "replicas = 3", "replicas = 1"), "rate_limit.replicas is 1"),
    ("prod", lambda d: reconfigure(d, 'backend = "mongodb"', 'backend = "embedded"'), "3 processes on a store for one"),
    ("prod", lambda d: put(server(d), "image", "credit-server:latest"), "images: Deployment credit-server: image credit-server:latest is not pinned"),
    ("prod", lambda d: put(server(d), "image", "registry.example:5000/credit-server"), "is not pinned"),
    ("prod", lambda d: put(server(d), "image", "credit-server:0.2.0"), "the label version is not the image's"),
    ("dev", lambda d: server(d)["resources"]["limits"].pop("memory"), "resources: Deployment credit-server: container server has no limits.memory"),
    ("prod", lambda d: spec(d, "CronJob")["securityContext"].pop("runAsNonRoot"), "security: CronJob credit-backup may run as root"),
    ("prod", lambda d: spec(d)["securityContext"].pop("seccompProfile"), "has no seccomp profile"),
    ("prod", lambda d: put(spec(d), "hostNetwork", True), "has hostNetwork"),
    ("prod", lambda d: spec(d).pop("automountServiceAccountToken"), "mounts a token"),
    ("prod", lambda d: d.remove(first(d, "ServiceAccount", "credit-server")), "has no service account of its own"),
    ("prod", lambda d: server(d)["securityContext"].pop("readOnlyRootFilesystem"), "may write to its root"),
    ("prod", lambda d: server(d)["securityContext"].pop("capabilities"), "has capabilities"),
    ("prod", lambda d: put(server(d), "env", [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]), "has a secret in the environment"),
    ("staging", lambda d: put(server(d)["volumeMounts"][2], "subPath", "token_keys"), "is a subPath"),
    ("prod", lambda d: first(d, "Namespace")["metadata"].pop("labels"), "does not enforce restricted pods"),
    ("prod", lambda d: d.remove(first(d, "NetworkPolicy", "default-deny")), "no NetworkPolicy denies by default"),
    ("prod", lambda d: put(server(d)["volumeMounts"][0], "name", "x"), "references: Deployment credit-server mounts x"),
    ("prod", lambda d: d.remove(first(d, "PersistentVolumeClaim")), "mounts claim credit-backup, which is not there"),
    ("staging", lambda d: put(first(d, "ExternalSecret")["spec"]["target"], "name", "y") or put(spec(d)["volumes"][2]["secret"], "secretName", "x"), "mounts Secret x, which nobody makes"),
    ("embedded", lambda d: put(first(d, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["metadata"], "labels", {"app.kubernetes.io/version": "1"}), "would refuse an upgrade"),
    ("embedded", lambda d: reconfigure(d, "[backup]", "[other]"), "keeps a store and makes no backups of it"),
    ("embedded", lambda d: reconfigure(d, '"/var/backups/credit"', '"/var/lib/credit/backups"'), "is on no claim of its own"),
    ("embedded", lambda d: spec(d, "CronJob").pop("affinity"), "may come to another node than StatefulSet credit-server"),
    ("prod", lambda d: first(d, "Service")["metadata"]["labels"].pop("app.kubernetes.io/instance"), "labels: Service credit-server has no label"),
    ("prod", lambda d: server(d).pop("startupProbe"), "probes: Deployment credit-server has no startupProbe"),
    ("prod", lambda d: put(server(d)["livenessProbe"]["httpGet"], "path", "/health/ready"), "livenessProbe asks"),
    ("prod", lambda d: reconfigure(d, "port = 9090", "port = 8080"), "port metrics is 9090, and metrics.port 8080"),
    ("prod", lambda d: reconfigure(d, 'host = "0.0.0.0"', 'host = "127.0.0.1"'), "reaches nobody outside the pod"),
    ("prod", lambda d: server(d).pop("lifecycle"), "ending: Deployment credit-server gets the signal before"),
    ("prod", lambda d: put(spec(d), "terminationGracePeriodSeconds", 30), "and 30 s of grace"),
    ("prod", lambda d: reconfigure(d, 'shutdown_timeout = "30s"', 'shutdown_timeout = "2m"'), "5 + 10 + 120 + 10 s to end"),
    ("prod", lambda d: reconfigure(d, 'drain_delay = "10s"', 'drain_delay = "0s"'), "stops after 5 s, and is noticed after 10 s"),
    ("prod", lambda d: reconfigure(d, "credit/cursor_key", "credit/cursor"), "secrets: Deployment credit-server: encryption.cursor_key_file names"),
    ("prod", lambda d: server(d)["args"].append("--config=/etc/credit/more.toml"), "is started with /etc/credit/more.toml"),
    ("prod", lambda d: d.remove(first(d, "NetworkPolicy", "egress-redis")), "egress: Deployment credit-server may not reach Redis"),
    ("prod", lambda d: d.remove(first(d, "NetworkPolicy", "egress-vault")), "may not reach Vault"),
    ("prod", lambda d: put(first(d, "NetworkPolicy", "egress-mongodb")["spec"]["egress"][0]["to"][0]["ipBlock"], "cidr", "0.0.0.0/0"), "lets out to the whole world"),
]


def blind(rendered):
    """The cases of which no rule complains as it has to."""
    for environment, spoil, complaint in CASES:
        docs = copy.deepcopy(rendered[environment])
        spoil(docs)
        told = rules.faults(docs)
        if not any(complaint in fault for fault in told):
            yield f"no rule says {complaint!r} of {environment}; they say {told}"
