"""What schemas miss: rules over everything that one environment renders. Each rule yields sentences; none is good."""

import re
import tomllib

WORKLOADS = ("Deployment", "StatefulSet", "CronJob", "Job", "DaemonSet")
RECOMMENDED = [f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "component", "part-of", "managed-by")]
# What people make by hand before they apply, and docs/kubernetes.md tells how.
BY_HAND = {"credit-secrets", "credit-backup", "credit-tls"}
# The files of credit-secrets where it is made by hand.
SECRET_FILES = ["token_keys", "encryption_keys", "index_keys", "cursor_key", "admin_password"]
GENERATED = re.compile(r"-[0-9a-z]{10}$")
# What the ledger may take to drain behind the calls in flight, in seconds.
LEDGER_DRAIN = 10


def what(doc):
    return f"{doc['kind']} {doc['metadata']['name']}"


def pod_of(doc):
    """The template of the pods that this makes, or None."""
    if doc["kind"] == "CronJob":
        return doc["spec"]["jobTemplate"]["spec"]["template"]
    return doc["spec"]["template"] if doc["kind"] in WORKLOADS else None


def workloads(docs):
    return [(doc, pod_of(doc)) for doc in docs if pod_of(doc)]


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def is_server(pod):
    return pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "server"


def of_kind(docs, *kinds):
    return [doc for doc in docs if doc["kind"] in kinds]


def selects(selector, labels):
    return all(labels.get(name) == value for name, value in selector.items())


def seconds(text):
    """A duration of the configuration: 30s, 10m, 2h, 7d, a bare number."""
    text = str(text)
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def config_files(docs, pod):
    """The configuration files of the server in the order in which it reads them: (name, text)."""
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in of_kind(docs, "ConfigMap")}
    server = pod["spec"]["containers"][0]
    mounted = {}
    for mount in server.get("volumeMounts", []):
        for volume in pod["spec"]["volumes"]:
            if volume["name"] == mount["name"] and "configMap" in volume:
                for file, text in maps.get(volume["configMap"]["name"], {}).items():
                    mounted[f"{mount['mountPath']}/{file}"] = text
    wanted = [arg.removeprefix("--config=") for arg in server.get("args", []) if arg.startswith("--config=")]
    return [(path, mounted.get(path)) for path in wanted]


def config(docs, pod):
    """Those files laid over each other."""

    def lay(under, over):
        for name, value in over.items():
            under[name] = lay(under.get(name, {}), value) if isinstance(value, dict) else value
        return under

    whole = {}
    for _, text in config_files(docs, pod):
        lay(whole, tomllib.loads(text or ""))
    return whole


def secret_files(docs, pod):
    """Every file with a secret that the server finds: its path, by who gives it."""
    found = set()
    server = pod["spec"]["containers"][0]
    places = {mount["name"]: mount["mountPath"] for mount in server.get("volumeMounts", [])}
    for volume in pod["spec"].get("volumes", []):
        if "secret" in volume and volume["name"] in places:
            name = volume["secret"]["secretName"]
            given = [
                entry["secretKey"]
                for doc in of_kind(docs, "ExternalSecret")
                if doc["spec"]["target"]["name"] == name
                for entry in doc["spec"]["data"]
            ]
            # One that is made by hand has the files that the guide names.
            for file in given or SECRET_FILES:
                found.add(f"{places[volume['name']]}/{file}")
    notes = pod["metadata"].get("annotations", {})
    if notes.get("vault.hashicorp.com/agent-inject") == "true":
        place = notes["vault.hashicorp.com/secret-volume-path"]
        prefix = "vault.hashicorp.com/agent-inject-secret-"
        found.update(f"{place}/{note.removeprefix(prefix)}" for note in notes if note.startswith(prefix))
    return found


def selectors(docs):
    pods = [pod["metadata"].get("labels", {}) for _, pod in workloads(docs)]
    services = [doc["metadata"].get("labels", {}) for doc in of_kind(docs, "Service")]
    for doc in docs:
        spec = doc.get("spec", {})
        if doc["kind"] == "NetworkPolicy":
            selector, among = spec["podSelector"].get("matchLabels", {}), pods
            is_denial = not spec.get("ingress") and not spec.get("egress") and len(spec["policyTypes"]) == 2
            if not selector and is_denial:
                continue
            for rule in spec.get("ingress", []) + spec.get("egress", []):
                if not rule.get("from") and not rule.get("to"):
                    yield f"{what(doc)} lets everybody through"
                if not rule.get("ports"):
                    yield f"{what(doc)} opens every port"
        elif doc["kind"] == "Service":
            selector, among = spec.get("selector", {}), pods
        elif doc["kind"] == "ServiceMonitor":
            selector, among = spec["selector"].get("matchLabels", {}), services
        elif doc["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            selector, among = spec["selector"].get("matchLabels", {}), pods
            if doc["kind"] != "PodDisruptionBudget" and not selects(selector, pod_of(doc)["metadata"]["labels"]):
                yield f"{what(doc)} does not select its own pods"
        else:
            continue
        chosen = [labels for labels in among if selects(selector, labels)]
        if not selector:
            yield f"{what(doc)} selects everything"
        elif not chosen:
            yield f"{what(doc)} selects nothing: {selector}"
        if doc["kind"] in ("Service", "Deployment", "StatefulSet", "PodDisruptionBudget") and len(chosen) > 1:
            yield f"{what(doc)} selects pods of {len(chosen)} workloads"


def ports(docs):
    named = {port["name"] for _, pod in workloads(docs) for one in containers(pod) for port in one.get("ports", [])}
    offered = {doc["metadata"]["name"]: doc["spec"]["ports"] for doc in of_kind(docs, "Service")}
    for doc in of_kind(docs, "Service"):
        for port in doc["spec"]["ports"]:
            if port["targetPort"] not in named:
                yield f"{what(doc)} leads to port {port['targetPort']}, which no container has"
    for doc in of_kind(docs, "Ingress"):
        for path in (path for rule in doc["spec"]["rules"] for path in rule["http"]["paths"]):
            service = path["backend"]["service"]
            if service["port"]["name"] not in [port["name"] for port in offered.get(service["name"], [])]:
                yield f"{what(doc)} leads to {service}, which is not there"
    for doc in of_kind(docs, "HTTPRoute"):
        for back in (back for rule in doc["spec"]["rules"] for back in rule["backendRefs"]):
            if back["port"] not in [port["port"] for port in offered.get(back["name"], [])]:
                yield f"{what(doc)} leads to {back}, which is not there"
    for doc in of_kind(docs, "ServiceMonitor"):
        for end in doc["spec"]["endpoints"]:
            if end["port"] not in [port["name"] for every in offered.values() for port in every]:
                yield f"{what(doc)} scrapes port {end['port']}, which no Service has"
    for doc in of_kind(docs, "NetworkPolicy"):
        for rule in doc["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if port["port"] not in named:
                    yield f"{what(doc)} opens port {port['port']}, which no container has"


def scaling(docs):
    scaled = {
        (doc["spec"]["scaleTargetRef"]["kind"], doc["spec"]["scaleTargetRef"]["name"]): doc
        for doc in of_kind(docs, "HorizontalPodAutoscaler")
    }
    there = {(doc["kind"], doc["metadata"]["name"]): doc for doc, _ in workloads(docs)}
    for target, scaler in scaled.items():
        if target not in there:
            yield f"{what(scaler)} scales {target}, which is not there"
        elif "replicas" in there[target]["spec"]:
            yield f"{what(there[target])} has replicas beside an autoscaler: each apply would undo its work"
        if "behavior" not in scaler["spec"]:
            yield f"{what(scaler)} has no behavior"
    for doc, pod in workloads(docs):
        if doc["kind"] not in ("Deployment", "StatefulSet"):
            continue
        scaler = scaled.get((doc["kind"], doc["metadata"]["name"]))
        if not scaler and "replicas" not in doc["spec"]:
            yield f"{what(doc)} has neither replicas nor an autoscaler"
        least = scaler["spec"]["minReplicas"] if scaler else doc["spec"].get("replicas", 1)
        if is_server(pod) and least > 1:
            told = config(docs, pod).get("rate_limit", {}).get("replicas", 1)
            if told != least:
                yield f"{what(doc)}: rate_limit.replicas is {told}, and there are at least {least} processes"
            if config(docs, pod).get("store", {}).get("backend") != "mongodb":
                yield f"{what(doc)}: {least} processes on a store for one"
            if not any(
                selects(budget["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"])
                for budget in of_kind(docs, "PodDisruptionBudget")
            ):
                yield f"{what(doc)} has no PodDisruptionBudget"
            if not pod["spec"].get("topologySpreadConstraints"):
                yield f"{what(doc)} is not spread over nodes"
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            if not selects(spread["labelSelector"]["matchLabels"], pod["metadata"]["labels"]):
                yield f"{what(doc)} is spread by a selector that does not select it"


def images(docs):
    for doc, pod in workloads(docs):
        for one in containers(pod):
            name, _, tag = one["image"].rpartition("/")[2].partition(":")
            if "@sha256:" in one["image"]:
                continue
            if not tag or tag == "latest":
                yield f"{what(doc)}: image {one['image']} is not pinned"
            if name == "credit-server" and tag != pod["metadata"]["labels"].get("app.kubernetes.io/version"):
                yield f"{what(doc)}: the label version is not the image's {tag}"


def resources(docs):
    for doc, pod in workloads(docs):
        for one in containers(pod):
            for side in ("requests", "limits"):
                for resource in ("cpu", "memory"):
                    if resource not in one.get("resources", {}).get(side, {}):
                        yield f"{what(doc)}: container {one['name']} has no {side}.{resource}"


def security(docs):
    accounts = {doc["metadata"]["name"]: doc for doc in of_kind(docs, "ServiceAccount")}
    for doc, pod in workloads(docs):
        spec, own = pod["spec"], pod["spec"].get("securityContext", {})
        if not own.get("runAsNonRoot") or not own.get("runAsUser"):
            yield f"{what(doc)} may run as root"
        if own.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{what(doc)} has no seccomp profile"
        for flag in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(flag):
                yield f"{what(doc)} has {flag}"
        for volume in spec.get("volumes", []):
            if "hostPath" in volume:
                yield f"{what(doc)} mounts a path of the node"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{what(doc)} mounts a token"
        if accounts.get(spec.get("serviceAccountName"), {}).get("automountServiceAccountToken") is not False:
            yield f"{what(doc)} has no service account of its own without a token"
        for one in containers(pod):
            context = one.get("securityContext", {})
            if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
                yield f"{what(doc)}: container {one['name']} may gain privileges"
            if not context.get("readOnlyRootFilesystem"):
                yield f"{what(doc)}: container {one['name']} may write to its root"
            if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
                yield f"{what(doc)}: container {one['name']} has capabilities"
            for variable in one.get("env", []):
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    yield f"{what(doc)}: {variable['name']} has a secret in the environment; give it as a file"
            for mount in one.get("volumeMounts", []):
                if "subPath" in mount and "secret" in mount["mountPath"]:
                    yield f"{what(doc)}: {mount['mountPath']} is a subPath, which never changes again"
    for doc in of_kind(docs, "Namespace"):
        if doc["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{what(doc)} does not enforce restricted pods"
    if not any(doc["spec"]["podSelector"] == {} for doc in of_kind(docs, "NetworkPolicy")):
        yield "no NetworkPolicy denies by default"


def references(docs):
    there = {(doc["kind"], doc["metadata"]["name"]) for doc in docs}
    outside = BY_HAND | {doc["spec"]["target"]["name"] for doc in of_kind(docs, "ExternalSecret")}
    for doc, pod in workloads(docs):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"]: claim for claim in doc["spec"].get("volumeClaimTemplates", [])}
        used = {mount["name"] for one in containers(pod) for mount in one.get("volumeMounts", [])}
        used.add(pod["metadata"].get("annotations", {}).get("vault.hashicorp.com/agent-service-account-token-volume-name"))
        for name in used - volumes.keys() - {None}:
            yield f"{what(doc)} mounts {name}, which it does not have"
        for name in volumes.keys() - used:
            yield f"{what(doc)} has volume {name}, which nothing mounts"
        for volume in volumes.values():
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                if ("ConfigMap", name) not in there:
                    yield f"{what(doc)} mounts ConfigMap {name}, which is not there"
                if not GENERATED.search(name):
                    yield f"{what(doc)} mounts ConfigMap {name} without a hash: a change would not roll the pods"
            if "secret" in volume and volume["secret"]["secretName"] not in outside:
                yield f"{what(doc)} mounts Secret {volume['secret']['secretName']}, which nobody makes"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and ("PersistentVolumeClaim", claim) not in there:
                yield f"{what(doc)} mounts claim {claim}, which is not there"
        for claim in doc["spec"].get("volumeClaimTemplates", []):
            if "app.kubernetes.io/version" in claim["metadata"].get("labels", {}):
                yield f"{what(doc)}: the version in a claim's template, which cannot be changed, would refuse an upgrade"


def labels(docs):
    for doc in docs:
        if doc["kind"] in ("Namespace", "NetworkPolicy", "ConfigMap", "ServiceAccount"):
            continue
        for label in RECOMMENDED:
            if label not in doc["metadata"].get("labels", {}):
                yield f"{what(doc)} has no label {label}"
    for doc, pod in workloads(docs):
        for label in RECOMMENDED:
            if label not in pod["metadata"].get("labels", {}):
                yield f"pods of {what(doc)} have no label {label}"


def probes(docs):
    wanted = {"startupProbe": "/health/live", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}
    for doc, pod in workloads(docs):
        if not is_server(pod):
            continue
        server = pod["spec"]["containers"][0]
        for probe, path in wanted.items():
            http = server.get(probe, {}).get("httpGet")
            if not http:
                yield f"{what(doc)} has no {probe}"
            elif http["path"] != path or http["port"] != "http":
                yield f"{what(doc)}: {probe} asks {http}, not {path} of port http"
        named = {port["name"]: port["containerPort"] for port in server["ports"]}
        told = config(docs, pod)
        for name, section in (("http", "server"), ("metrics", "metrics")):
            if named.get(name) != told.get(section, {}).get("port"):
                yield f"{what(doc)}: port {name} is {named.get(name)}, and {section}.port {told.get(section, {}).get('port')}"
            if told.get(section, {}).get("host") != "0.0.0.0":
                yield f"{what(doc)}: {section}.host reaches nobody outside the pod"
        if named.get("http") == named.get("metrics"):
            yield f"{what(doc)}: the metrics have no port of their own"


def ending(docs):
    for doc, pod in workloads(docs):
        if not is_server(pod):
            continue
        server, told = pod["spec"]["containers"][0], config(docs, pod).get("server", {})
        wait = server.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not wait:
            yield f"{what(doc)} gets the signal before those who route to it know"
        drain, calls = seconds(told.get("drain_delay", 0)), seconds(told.get("shutdown_timeout", 30))
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
        if wait + drain + calls + LEDGER_DRAIN > grace:
            yield f"{what(doc)}: {wait} + {drain} + {calls} + {LEDGER_DRAIN} s to end, and {grace} s of grace"
        ready = server.get("readinessProbe", {})
        notice = ready.get("periodSeconds", 10) * ready.get("failureThreshold", 3)
        if doc["kind"] == "Deployment" and "replicas" not in doc["spec"] and wait + drain < notice:
            yield f"{what(doc)}: stops after {wait + drain} s, and is noticed after {notice} s"


def secrets(docs):
    def files(section, path=""):
        for name, value in section.items():
            if isinstance(value, dict):
                yield from files(value, f"{path}{name}.")
            elif name.endswith("_file"):
                yield f"{path}{name}", value

    for doc, pod in workloads(docs):
        if not is_server(pod):
            continue
        for path, text in config_files(docs, pod):
            if text is None:
                yield f"{what(doc)} is started with {path}, which it does not have"
        given = secret_files(docs, pod)
        for key, file in files(config(docs, pod)):
            if file not in given:
                yield f"{what(doc)}: {key} names {file}, which nobody gives"


def egress(docs):
    """Whoever is configured can be reached."""
    allowed = {
        port["port"]
        for doc in of_kind(docs, "NetworkPolicy")
        if doc["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component") in (None, "server")
        for rule in doc["spec"].get("egress", [])
        for port in rule.get("ports", [])
    }
    for doc, pod in workloads(docs):
        if not is_server(pod):
            continue
        told, needed = config(docs, pod), {}
        if told.get("store", {}).get("backend") == "mongodb":
            needed |= {53: "names", 27017: "MongoDB"}
        if told.get("cache", {}).get("backend") == "redis":
            needed[6379] = "Redis"
        if "vault.hashicorp.com/agent-inject" in pod["metadata"].get("annotations", {}):
            needed[8200] = "Vault"
        if "peers" in told:
            needed[int(told["peers"]["listen"].rpartition(":")[2])] = "its peers"
        for port, who in needed.items():
            if port not in allowed:
                yield f"{what(doc)} may not reach {who} at port {port}"
    for doc in of_kind(docs, "NetworkPolicy"):
        targets = [to for rule in doc["spec"].get("egress", []) for to in rule.get("to", [])]
        for block in (to["ipBlock"]["cidr"] for to in targets if "ipBlock" in to):
            if block.endswith("/0"):
                yield f"{what(doc)} lets out to the whole world"


def backups(docs):
    """Who keeps a store puts backups of it on another claim, and who reads that one comes to where it is mounted."""

    def claims(pod):
        mounted = pod["spec"].get("volumes", [])
        return {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in mounted if "persistentVolumeClaim" in volume}

    shared = {doc["metadata"]["name"] for doc in of_kind(docs, "PersistentVolumeClaim") if "ReadWriteMany" in doc["spec"]["accessModes"]}
    for doc, pod in workloads(docs):
        if not is_server(pod):
            continue
        own, place = claims(pod), config(docs, pod).get("backup", {}).get("directory")
        places = [mount["mountPath"] + "/" for mount in pod["spec"]["containers"][0]["volumeMounts"] if mount["name"] in own]
        if doc["spec"].get("volumeClaimTemplates") and not place:
            yield f"{what(doc)} keeps a store and makes no backups of it"
        if place and not any(f"{place}/".startswith(mounted) for mounted in places):
            yield f"{what(doc)}: backup.directory {place} is on no claim of its own"
        for other, others in workloads(docs):
            if other is doc:
                continue
            terms = others["spec"].get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", [])
            is_near = any(
                term["topologyKey"] == "kubernetes.io/hostname"
                and selects(term["labelSelector"]["matchLabels"], pod["metadata"]["labels"])
                for term in terms
            )
            for claim in sorted(set(claims(others).values()) & set(own.values()) - shared):
                if not is_near:
                    yield f"{what(other)} mounts claim {claim}, and may come to another node than {what(doc)}"


RULES = [selectors, ports, scaling, images, resources, security, references, labels, probes, ending, secrets, egress, backups]


def faults(docs):
    return [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(docs)]
