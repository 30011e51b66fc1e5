"""Checks what operators get: deploy/, the Dockerfile. Run it by `make ops-check`, which brings the tools.

`check.py filled OVERLAY` says which sample values an overlay still has, or that it has none.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import jsonschema
import referencing
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools"
sys.path.insert(0, str(ROOT / "scripts/ops"))

import backup  # noqa: E402
import image  # noqa: E402
import live  # noqa: E402
import monitoring  # noqa: E402
import program  # noqa: E402
import rules  # noqa: E402
import rules_test  # noqa: E402

ENVIRONMENTS = ("dev", "staging", "prod", "embedded")
# What readiness answers where there is nothing outside.
READY = {"dev": 200, "embedded": 200, "staging": 503, "prod": 503}
VERSIONS = ("1.33", "1.35", "1.37")
FOREIGN = ("external-secrets.io", "gateway.networking.k8s.io", "monitoring.coreos.com")
# Names and networks that are set aside for examples.
SAMPLE = re.compile(r"\b(?:[\w-]+\.)*example\b(?:/[\w./-]+)?|\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+/\d+")


def run(*command, **options):
    """What a tool complains of; nothing if it is content."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT, timeout=300, **options)
    if done.returncode:
        yield f"{pathlib.Path(command[0]).name}: {done.stdout}{done.stderr}".strip()


def render(overlay):
    done = subprocess.run([TOOLS / "ops/bin/kubectl", "kustomize", overlay], capture_output=True, text=True, cwd=ROOT, timeout=60)
    if done.returncode:
        raise SystemExit(f"{overlay} is not rendered: {done.stderr}")
    return done.stdout


def schemas(text):
    """Kubernetes' own kinds against three versions, strictly; others against the definitions of their makers."""
    docs = list(yaml.safe_load_all(text))
    foreign = [doc for doc in docs if doc["apiVersion"].split("/")[0] in FOREIGN]
    own = yaml.safe_dump_all([doc for doc in docs if doc not in foreign])
    for version in VERSIONS:
        command = [TOOLS / "ops/bin/kubernetes-validate", "--strict", "--quiet", "-k", version, "-"]
        done = subprocess.run(command, input=own, capture_output=True, text=True, timeout=120)
        # A kind without a schema is only a warning there, and the exit code is 0.
        if done.returncode or done.stdout.strip():
            yield f"Kubernetes {version}: {done.stdout}{done.stderr}"
    yield from run("node", "scripts/ops/crds.mjs", TOOLS / "kubernetes-models", input=json.dumps(foreign))


def promtool():
    ours = TOOLS / "bin/promtool"
    return ours if ours.exists() else "promtool"


def autoscaler(docs):
    """What the autoscaler asks of the Prometheus adapter is what the guide's rule gives, of a metric that we have."""
    told = (ROOT / "docs/kubernetes.md").read_text()
    block = re.search(r"```yaml\n(rules:\n  custom:\n.*?)```", told, re.DOTALL)
    given = {}
    for rule in yaml.safe_load(block[1])["rules"]["custom"]:
        metric = re.match(r"[a-z_]+", rule["seriesQuery"])[0]
        if metric not in monitoring.reference():
            yield f"docs/kubernetes.md: the adapter is told of {metric}, which is not exported"
        given[rule["name"]["as"]] = rule
        for label in re.findall(r'(\w+)!=""', rule["seriesQuery"]):
            if label not in rule["resources"]["overrides"]:
                yield f"docs/kubernetes.md: the adapter is not told what {label} is"
        query = rule["metricsQuery"]
        for sign, value in (("<<.Series>>", metric), ("<<.LabelMatchers>>", 'namespace="a",pod="b"'), ("<<.GroupBy>>", "pod")):
            query = query.replace(sign, value)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "a", "rules": [{"record": "a:b", "expr": query}]}]}, file)
            file.flush()
            yield from run(promtool(), "check", "rules", file.name)
    for doc in docs:
        for metric in doc["spec"]["metrics"] if doc["kind"] == "HorizontalPodAutoscaler" else []:
            if metric["type"] == "Pods" and metric["pods"]["metric"]["name"] not in given:
                yield f"the autoscaler goes by {metric['pods']['metric']['name']}, which no rule of docs/kubernetes.md gives"


def sbom():
    """It is made, has every crate once, and is what the schema of CycloneDX says."""
    home = next((TOOLS / "ops").glob("lib/python*/site-packages/cyclonedx/schema/_res"))
    with tempfile.TemporaryDirectory() as work:
        file = pathlib.Path(work) / "credit-server.cdx.json"
        faults = list(run(ROOT / "scripts/sbom.py", file))
        if faults:
            yield from faults
            return
        bom = json.loads(file.read_text())
    schemas_of = {name: json.loads((home / f"{name}.SNAPSHOT.schema.json").read_text()) for name in ("bom-1.5", "spdx", "jsf-0.82")}
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas_of.values()
    )
    for fault in jsonschema.Draft7Validator(schemas_of["bom-1.5"], registry=registry).iter_errors(bom):
        yield f"{fault.json_path}: {fault.message[:200]}"
    parts = [part["bom-ref"] for part in bom["components"]]
    if len(parts) < 100 or len(parts) != len(set(parts)):
        yield f"it has {len(parts)} parts, {len(set(parts))} of them different"
    for part in bom["components"]:
        if not part["purl"].startswith("pkg:cargo/credit-") and ("hashes" not in part or "licenses" not in part):
            yield f"{part['bom-ref']} has no hash, or no licence"


def samples(text):
    return sorted(set(SAMPLE.findall(text)))


def guide(rendered):
    """docs/kubernetes.md names every sample value of every overlay and of the image, and every Secret made by hand with its files."""
    told = (ROOT / "docs/kubernetes.md").read_text()
    image = samples((ROOT / "Dockerfile").read_text())
    overlays = sorted({value for text in rendered.values() for value in samples(text)})
    for value in [*overlays, *image, *sorted(rules.BY_HAND), *rules.SECRET_FILES]:
        if value not in told:
            yield f"docs/kubernetes.md does not say what to put for {value}"


def links():
    """Links of every page lead somewhere, to the heading too."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, heading = target.partition("#")
            there = (page.parent / file) if file else page
            if not there.exists():
                yield f"{page.relative_to(ROOT)}: {target} leads nowhere"
                continue
            if not heading or there.suffix != ".md":
                continue
            titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
            if heading not in anchors:
                yield f"{page.relative_to(ROOT)}: {target} has no such heading"


def operator(server):
    """Who follows the guide gets to the end: what is left is named, and nothing is once every sample is filled in."""
    before = samples(render("deploy/k8s/overlays/prod"))
    if not before:
        yield "prod has no sample values to be filled in"
    named = dict(zip(before, (f"v{number}.shop.test" for number in range(len(before)))))
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(ROOT / "deploy/k8s", pathlib.Path(work) / "k8s")
        here = pathlib.Path(work) / "k8s/overlays/prod"

        def fill(found):
            # A network stays a network, a name a name.
            return "10.0.0.0/28" if found[0][0].isdigit() else named.get(found[0], "shop.test")

        for file in here.rglob("*"):
            if file.is_file():
                file.write_text(SAMPLE.sub(fill, file.read_text()))
        rendered = render(here)
        for value in samples(rendered):
            yield f"{value} is still there when every sample value of the overlay was filled in"
        docs = list(yaml.safe_load_all(rendered))
        yield from rules.faults(docs)
        yield from program.check(server, docs)
        yield from program.missing(server, docs)


def pointers():
    """What docs/security.md says stops an attack is there: the file, and the test in it."""
    page = (ROOT / "docs/security.md").read_text()
    found = re.findall(r"`((?:crates|tests|bin|scripts|deploy)/[\w./-]+)`(?: `(\w+)`)?", page)
    if len(found) < 30:
        yield f"docs/security.md names {len(found)} places"
    for path, test in found:
        if not (ROOT / path).exists():
            yield f"docs/security.md: {path} is not there"
        elif test and not re.search(rf"fn {test}\b", (ROOT / path).read_text()):
            yield f"docs/security.md: {path} has no test {test}"


def context():
    """What the build reads is let into it by .dockerignore, which keeps everything else out."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    if "*" not in lines:
        yield ".dockerignore does not begin by keeping everything out"
    inside = [ROOT / line.removeprefix("!") for line in lines if line.startswith("!")]
    needed = {ROOT / "Cargo.toml", ROOT / "Cargo.lock", *ROOT.glob("crates/*/Cargo.toml"), *ROOT.glob("bin/*/Cargo.toml")}
    for file in [*ROOT.glob("crates/*/src/**/*.rs"), *ROOT.glob("bin/*/src/**/*.rs")]:
        for path in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
            needed.add((file.parent / path).resolve())
    for file in sorted(needed):
        if not any(file == allowed or allowed in file.parents for allowed in inside):
            yield f"{file.relative_to(ROOT)} is read by the build and kept out by .dockerignore"


def compose_rules():
    """What the schema of compose lets pass."""
    for name, service in yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"].items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        if not tag or tag == "latest":
            yield f"compose: the image of {name} is not pinned"
        if "healthcheck" not in service and not name.endswith("-init"):
            yield f"compose: {name} has no healthcheck"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"compose: {name} opens {port} to the network"


def compose_prometheus():
    """Prometheus in Compose is started with files that it takes, at the places that it is told of."""
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(ROOT / "deploy/compose/prometheus/prometheus.yaml", work)
        shutil.copy(ROOT / "deploy/monitoring/rules.yaml", work)
        yield from run(promtool(), "check", "config", pathlib.Path(work) / "prometheus.yaml")
    sources = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["configs"]
    for name, config in sources.items():
        if not (ROOT / "deploy/compose" / config["file"]).exists():
            yield f"compose: the config {name} is {config['file']}, which is not there"


def compose_configs(server):
    """Both files of compose; Vault gives what vault/init.sh would put there."""
    yield from program.check_file(server, ROOT / "deploy/compose/config/minimal.toml", ["/var/lib/credit"])
    script = (ROOT / "deploy/compose/vault/init.sh").read_text()
    written = script[script.index("<<JSON\n") + len("<<JSON\n") : script.index("\nJSON\n")]
    members = json.loads(re.sub(r"\$\(random \d+\)", lambda _: program.sample("token_keys"), written))
    with program.Vault(members) as vault:
        places = ["/var/lib/credit", "/run/secrets/credit"]
        yield from program.check_file(server, ROOT / "deploy/compose/config/full.toml", places, vault.address)


def main():
    server = os.environ.get("CREDIT_SERVER_BIN", str(ROOT / "target/debug/credit-server"))
    if not os.access(server, os.X_OK):
        raise SystemExit(f"{server} is not there: run `make ops-check`, or name the program in CREDIT_SERVER_BIN")
    server = str(pathlib.Path(server).resolve())
    tools = TOOLS / "ops/bin"
    rendered = {name: render(f"deploy/k8s/overlays/{name}") for name in ENVIRONMENTS}
    docs = {name: list(yaml.safe_load_all(text)) for name, text in rendered.items()}
    shell = [*ROOT.glob("deploy/**/*.sh"), *ROOT.glob("scripts/*.sh")]

    checks = [("Dockerfile", lambda: run(tools / "hadolint", "Dockerfile")), ("build context", context)]
    checks += [("shell scripts", lambda: run(tools / "shellcheck", *shell))]
    checks += [("compose schema", lambda: run(tools / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose/compose.yaml"))]
    checks += [("compose rules", compose_rules), ("compose configuration", lambda: compose_configs(server))]
    checks += [("compose: Prometheus", compose_prometheus)]
    for name in ENVIRONMENTS:
        checks += [(f"{name}: schemas", lambda name=name: schemas(rendered[name]))]
        checks += [(f"{name}: rules", lambda name=name: rules.faults(docs[name]))]
        checks += [(f"{name}: config check", lambda name=name: program.check(server, docs[name]))]
        checks += [(f"{name}: probes", lambda name=name: program.probe(server, docs[name], READY[name]))]
    checks += [("every rule can fail", lambda: rules_test.blind(docs))]
    checks += [("alert rules", lambda: run(promtool(), "check", "rules", "deploy/monitoring/rules.yaml"))]
    checks += [("alert cases", lambda: monitoring.play(promtool())), ("alert pages", lambda: [*monitoring.pages(), *monitoring.unlinked()])]
    checks += [("rules and dashboards ask for what there is", lambda: [*monitoring.unknown(), *monitoring.blind_to_strangers()]), ("what is made of others", monitoring.stale)]
    checks += [("autoscaler", lambda: autoscaler(docs["prod"])), ("guide", lambda: guide(rendered)), ("links", links)]
    checks += [("what stops attacks is there", pointers), ("who follows the guide", lambda: operator(server))]
    checks += [("live metrics", lambda: live.metrics(server, promtool())), ("SBOM", sbom)]
    checks += [("export and restore of MongoDB", lambda: backup.faults(server)), ("image", lambda: image.faults(server))]

    failed = 0
    for name, check in checks:
        began = time.monotonic()
        faults = list(check())
        failed += bool(faults)
        print(f"ops: {name}: {'FAILED' if faults else 'good'}, {time.monotonic() - began:.1f} s", flush=True)
        for fault in faults:
            print("     " + fault.replace("\n", "\n     "), flush=True)
    print(f"ops: {len(checks) - failed} checks good, {failed} failed ({len(rules_test.CASES)} spoilt environments among them)")
    return 1 if failed else 0


def filled(overlay):
    left = samples(render(overlay))
    for value in left:
        print(f"ops: {overlay} still has {value}: docs/kubernetes.md says what belongs there")
    if not left:
        print(f"ops: {overlay} has no sample values")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(filled(sys.argv[2]) if sys.argv[1:2] == ["filled"] else main())
