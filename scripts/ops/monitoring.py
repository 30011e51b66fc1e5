"""Rules, their cases and the dashboards. `monitoring.py` writes what is made of others; as a module it checks them all.
`monitoring.py rules BASE` prints the rules with links to where people read docs/.

Made of deploy/monitoring/rules.yaml: the copy for the Prometheus operator. Made of dashboards.py: the dashboards, for
Grafana in Compose and as ConfigMaps on Kubernetes.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

import dashboards

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "deploy/monitoring"
COMPONENT = ROOT / "deploy/k8s/components/monitoring"
# What others export: Prometheus itself, kube-state-metrics, the kubelet, cert-manager.
FOREIGN = re.compile(r"^(up|kube_\w+|kubelet_\w+|certmanager_\w+)$")
CASES = ("fires", "silent", "flapping")
# Where docs/ can be read, as it stands in the rules: a sample that an overlay, or `make rules`, puts another one for.
RUNBOOKS = "runbooks.example"
OPERATOR_HEAD = """\
# Made of deploy/monitoring/rules.yaml by `make monitoring`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: credit-server
  labels:
    app.kubernetes.io/component: metrics
  annotations:
    # Where docs/ can be read: an overlay puts it into every link (docs/kubernetes.md).
    credit-server/runbooks: runbooks.example
spec:
"""


def rules_text():
    return (HOME / "rules.yaml").read_text()


def groups():
    return yaml.safe_load(rules_text())["groups"]


def alerts():
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def made():
    """Every file that is made of others, and what belongs into it."""
    body = rules_text()[rules_text().index("groups:\n") :]
    indented = "".join(f"  {line}" if line.strip() else line for line in body.splitlines(keepends=True))
    files = {COMPONENT / "prometheus-rule.yaml": OPERATOR_HEAD + indented}
    for name, board in dashboards.boards().items():
        text = json.dumps(board, indent=1, ensure_ascii=False) + "\n"
        files[HOME / f"{name}.json"] = text
        # Kustomize reads nothing outside of its own directory.
        files[COMPONENT / f"dashboards/{name}.json"] = text
    return files


def stale():
    files = made()
    for file, text in files.items():
        if not file.exists() or file.read_text() != text:
            yield f"{file.relative_to(ROOT)} is not what `make monitoring` writes"
    for file in [*HOME.glob("*.json"), *COMPONENT.glob("dashboards/*.json")]:
        if file not in files:
            yield f"{file.relative_to(ROOT)} is made by nobody"
    provided = (ROOT / "deploy/compose/compose.yaml").read_text()
    component = (COMPONENT / "kustomization.yaml").read_text()
    for name in dashboards.boards():
        if f"../monitoring/{name}.json" not in provided or f"/etc/grafana/credit/{name}.json" not in provided:
            yield f"compose: {name}.json is not given to Grafana"
        if f"dashboards/{name}.json" not in component:
            yield f"the component monitoring does not give {name}.json"


def asked():
    """Every expression that rules, panels and their variables ask."""
    for group in groups():
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for name, board in dashboards.boards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{name}: {panel['title']}", target["expr"]


def recorded():
    return {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}


def names_in(expr):
    """The metrics of an expression: what is followed by a selector, a range or an end, and is no function or label."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", bare)
    found = set()
    for match in re.finditer(r"(?<![\w$])([a-zA-Z_][\w:]*)(\s*\()?", bare):
        word, call = match.groups()
        if not call and word not in ("and", "or", "unless", "offset", "bool", "on") and not re.fullmatch(r"\d*[smhdw]", word):
            found.add(word)
    return found


def reference():
    """Every metric of ours by docs/metrics.md, which is made of the code: its labels, and what each can be if that is known."""
    page = ROOT / "docs/metrics.md"
    told = {}
    for entry in re.split(r"\n- (?=\*\*`)", page.read_text() if page.exists() else "")[1:]:
        labels = {}
        for label, values in re.findall(r"\n  - `(\w+)`: ((?:.|\n(?!  - |\n|- ))*)", entry):
            # A list of values, or a sentence of what they are.
            listed = re.fullmatch(r"(?:`[^`]+`,?\s*)+\.?\s*", values)
            labels[label] = set(re.findall(r"`([^`]+)`", values)) if listed else None
        told[re.match(r"\*\*`(\w+)`", entry)[1]] = labels
    return told


def base_of(name, told):
    """The metric that this is a part of."""
    return name if name in told else re.sub("_(bucket|sum|count)$", "", name)


def selected(expr):
    """Every metric of an expression that is asked for by labels, with each label, operator and value."""
    for name, selector in re.findall(r"\b((?:credit|http_server)_[a-z_]+)\{([^}]*)\}", expr):
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selector):
            yield name, label, operator, value


def strange(told, paths, name, label, operator, value):
    """What is wrong with asking this of a metric."""
    known = told.get(base_of(name, told), {})
    if label == "job":
        yield f"`job` of {name} is Prometheus' own; ours is `exported_job`"
    # Prometheus has renamed what it has itself, and given what it knows of the place.
    ours = label.removeprefix("exported_")
    if label in ("le", "instance", "pod", "namespace"):
        return
    if ours not in known:
        yield f"{name} has no label {label}"
    elif label in ("route", "http_route"):
        if not any(re.fullmatch(value, path) for path in paths):
            yield f"no route is {value}"
    elif known[ours]:
        values = known[ours]
        good = [one for one in values if re.fullmatch(value, one)] if "~" in operator else values & {value}
        parts = value.split("|") if "~" in operator and re.fullmatch(r"[\w|]+", value) else []
        for part in [one for one in parts if one not in values] or ([] if good else [value]):
            yield f"{label} of {name} is never {part}"


def unknown():
    """Metrics, labels and values of labels that nobody exports; in rules, panels and cases."""
    told, paths = reference(), [*json.loads((ROOT / "openapi.json").read_text())["paths"], "/a", "/b"]
    for where, expr in [*asked(), *((f"cases of {name}", series) for name, of in cases().items() for case in of.values() for series in case["series"])]:
        for name in names_in(expr):
            if base_of(name, told) not in told and not FOREIGN.match(name) and name not in recorded():
                yield f"{where}: {name} is asked for, and not exported"
        for asking in selected(expr):
            yield from (f"{where}: {fault}" for fault in strange(told, paths, *asking))
        ours = [told[base_of(name, told)] for name in names_in(expr) if base_of(name, told) in told]
        for label in re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", expr))) if ours else []:
            if label == "job":
                yield f"{where}: `job` is Prometheus' own; ours is `exported_job`"
            elif label not in ("instance", "le") and not any(label.removeprefix("exported_") in labels for labels in ours):
                yield f"{where}: no label is called {label}"


def blind_to_strangers():
    """What `unknown` is there for: each of these is wrong in its own way."""
    told, paths = reference(), ["/v1/wallets"]
    for asking in (
        ("credit_breaker_state", "dependency", "=", "mongodb"),
        ("credit_breaker_state", "dependency", "=~", "documents|mongodb"),
        ("credit_http_requests_total", "route", "=~", "/v2/.*"),
        ("credit_http_requests_total", "code", "=", "200"),
        ("credit_jobs_runs_total", "job", "=", "x"),
    ):
        if not list(strange(told, paths, *asking)):
            yield f"nobody minds {asking}"


def pages():
    """Each alert says where its page is, and the page is there."""
    text = (ROOT / "docs/alerts.md").read_text()
    for name, rule in alerts().items():
        if f"## {name}\n" not in text:
            yield f"{name} has no page in docs/alerts.md"
        if rule["annotations"].get("runbook_url") != f"https://{RUNBOOKS}/docs/alerts.md#{name.lower()}":
            yield f"{name} does not say where its page is"
        if rule["labels"]["severity"] not in ("page", "ticket"):
            yield f"{name} has no severity"
    for name in re.findall(r"^## (Credit\w+)$", text, re.MULTILINE):
        if name not in alerts():
            yield f"docs/alerts.md has a page on {name}, which is no alert"


def cases():
    # Everything is text here: 0x10 is ten times nothing, and not sixteen.
    return yaml.load((HOME / "cases.yaml").read_text(), Loader=yaml.BaseLoader)


def incomplete(every, known):
    """Alerts without one of their cases, and cases that show nothing."""
    for name in sorted(every.keys() - known):
        yield f"cases.yaml has {name}, which is no alert"
    for name in known:
        of = every.get(name, {})
        for kind in CASES:
            if kind not in of:
                yield f"{name} has no case `{kind}`"
        firing = {kind: [bool(labels) for labels in case["at"].values()] for kind, case in of.items()}
        if "fires" in of and (not any(firing["fires"]) or all(firing["fires"])):
            yield f"{name}: `fires` has to show it silent first, and then firing"
        if any(firing.get("silent", [])):
            yield f"{name} fires in `silent`"
        if len(firing.get("flapping", [])) < 3 and "flapping" in of:
            yield f"{name}: `flapping` has to be looked at three times"
        if len(set(firing.get("flapping", []))) > 1:
            yield f"{name} goes on and off with what flaps"


def blind():
    """A check that cannot fail is none: what `incomplete` is shown when a case is missing or shows nothing."""
    every, known = cases(), alerts().keys()
    name = next(iter(every))
    quiet = {"series": {}, "at": {"1m": [], "2m": [], "3m": []}}
    spoilt = [({**every[name], "fires": quiet}, "`fires` has to"), ({**every[name], "silent": {"series": {}, "at": {"1m": [{}]}}}, "fires in `silent`")]
    spoilt += [({**every[name], "flapping": {"series": {}, "at": {"1m": [{}], "2m": [], "3m": [{}]}}}, "on and off")]
    spoilt += [({other: case for other, case in every[name].items() if other != kind}, f"no case `{kind}`") for kind in CASES]
    for of, complaint in spoilt:
        if not any(complaint in fault for fault in incomplete({**every, name: of}, known)):
            yield f"nobody says {complaint!r}"


def filled(text, labels):
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)


def expected(rule, labels):
    every = {**labels, **rule["labels"]}
    return {"exp_labels": every, "exp_annotations": {name: filled(text, every) for name, text in rule["annotations"].items()}}


def tests():
    """The cases as promtool reads them."""
    known = alerts()
    for name, of in cases().items():
        for kind, case in of.items():
            yield {
                "name": f"{name} {kind}",
                "interval": case.get("every", "1m"),
                "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
                "alert_rule_test": [
                    {"eval_time": moment, "alertname": name, "exp_alerts": [expected(known[name], labels) for labels in fire]}
                    for moment, fire in case["at"].items()
                ],
            }


def play(promtool):
    """Every alert has its three cases, and does in each what is written there."""
    faults = [*incomplete(cases(), alerts().keys()), *blind()]
    yield from faults
    if faults:
        return
    parts = {}
    for number, test in enumerate(tests()):
        # As many at a time as there are processors: each case is a database of its own for promtool.
        parts.setdefault((test["interval"], number % os.cpu_count()), []).append(test)
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor() as pool:
        (pathlib.Path(work) / "rules.yaml").write_text(rules_text())

        def test(part):
            (step, number), of = part
            file = pathlib.Path(work) / f"{step}-{number}.yaml"
            file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": step, "tests": of}, sort_keys=False))
            return subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=300)

        for done in pool.map(test, parts.items()):
            if done.returncode:
                yield f"{done.stdout}{done.stderr}".strip()


def linked(base):
    """The rules with every runbook_url on that base; None if it is no host, with a path if there is one."""
    base = base.removeprefix("https://").rstrip("/")
    if not re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?(/[\w.~-]+)*", base) or re.search(r"\bexample\b", base.split("/")[0]):
        return None
    return rules_text().replace(f"https://{RUNBOOKS}/", f"https://{base}/")


def unlinked():
    """A base is put into every link, and what is none, or is the sample, is refused."""
    for base in ("git.shop.com/credit/blob/main", "https://docs.shop.com/"):
        text = linked(base) or ""
        if RUNBOOKS in text or text.count(f"https://{base.removeprefix('https://').rstrip('/')}/docs/alerts.md#") != len(alerts()):
            yield f"{base} is not put into every link"
    for base in (RUNBOOKS, "", "shop", "a.b/../c?d", "a b.com"):
        if linked(base) is not None:
            yield f"{base!r} is taken for an address"


def main():
    if sys.argv[1:2] == ["rules"]:
        text = linked(sys.argv[2])
        if text is None:
            raise SystemExit(f"{sys.argv[2]!r} is no address where people read docs/: git.shop.com/credit/blob/main")
        sys.stdout.write(text)
        return
    for file, text in made().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"monitoring: {file.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
