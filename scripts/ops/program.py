"""The real program with what is rendered: `config check` of every configuration, and every probe against a running one."""

import base64
import http.client
import http.server
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time

import rules

PATIENCE = 90
EVERY_SECRET = ("token_keys", "encryption_keys", "index_keys", "cursor_key", "peers_secret")


def sample(file):
    """A value for a file of this name: keys are random, addresses lead nowhere."""
    if file in EVERY_SECRET:
        return base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "mongodb_uri": "mongodb://credit:secret@127.0.0.1:9/?replicaSet=rs0&serverSelectionTimeoutMS=500",
        "redis_url": "redis://:secret@127.0.0.1:9",
    }.get(file, secrets.token_urlsafe(18))


class Place:
    """A directory that has what a pod finds: its configuration, its secrets and its data, each at a place of its own."""

    def __init__(self, root, docs, pod):
        self.root = pathlib.Path(root)
        moved = {"/run/secrets/credit": self.root / "secrets", "/var/lib/credit": self.root / "data"}
        moved["/var/backups/credit"] = self.root / "backups"
        for place in moved.values():
            place.mkdir(mode=0o700)
        for file in rules.secret_files(docs, pod):
            name = pathlib.PurePath(file).name
            (self.root / "secrets" / name).write_text(sample(name))
        # What is told of the pod is told of this machine.
        told = {one["name"]: one.get("value", "127.0.0.1") for one in pod["spec"]["containers"][0].get("env", [])}
        self.told = {name: re.sub(r"\$\((\w+)\)", lambda found: told[found[1]], value) for name, value in told.items()}
        self.files = []
        for path, text in rules.config_files(docs, pod):
            for place, here in moved.items():
                text = text.replace(f'"{place}', f'"{here}')
            file = self.root / pathlib.PurePath(path).name
            file.write_text(text)
            self.files.append(file)

    def command(self, program, *words):
        return [program, *(word for file in self.files for word in ("--config", str(file))), *words]

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith("CREDIT_")} | self.told


def servers(docs):
    return [pod for _, pod in rules.workloads(docs) if rules.is_server(pod)]


def check(program, docs):
    """The faults that `config check` finds in what an environment renders."""
    for pod in servers(docs):
        with tempfile.TemporaryDirectory() as root:
            place = Place(root, docs, pod)
            done = subprocess.run(
                place.command(program, "config", "check"), env=place.environment(), capture_output=True, text=True, timeout=PATIENCE
            )
            if done.returncode:
                yield f"config check: {done.stdout}{done.stderr}"


def missing(program, docs):
    """Each secret that is not there is named by `config check`, by its key; all of them at once."""
    for pod in servers(docs):
        with tempfile.TemporaryDirectory() as root:
            place = Place(root, docs, pod)
            files = sorted((place.root / "secrets").iterdir())
            for gone in [*([file] for file in files), files]:
                kept = {file: file.read_text() for file in gone}
                for file in gone:
                    file.unlink()
                done = subprocess.run(
                    place.command(program, "config", "check"), env=place.environment(), capture_output=True, text=True, timeout=PATIENCE
                )
                told = done.stdout + done.stderr
                for file in gone:
                    if done.returncode != 3 or file.name not in told:
                        yield f"config check does not name {file.name}, which is missing ({done.returncode}): {told}"
                for file, text in kept.items():
                    file.write_text(text)


def check_file(program, file, moved, address=None):
    """The same for one file of compose; `moved` are places in it, and where they are here."""
    with tempfile.TemporaryDirectory() as root:
        text = pathlib.Path(file).read_text()
        for place in moved:
            (pathlib.Path(root) / "secret_id").write_text("secret")
            text = text.replace(f'"{place}', f'"{root}')
        if address:
            assert '"http://vault:8200"' in text
            text = text.replace('"http://vault:8200"', f'"{address}"')
        here = pathlib.Path(root) / "credit.toml"
        here.write_text(text)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CREDIT_")}
        done = subprocess.run(
            [program, "--config", str(here), "config", "check"], env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            yield f"config check of {file}: {done.stdout}{done.stderr}"


class Vault:
    """As much of Vault as a login by AppRole and the reading of one secret take."""

    def __init__(self, members):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                auth = {"client_token": "t", "accessor": "a", "policies": [], "token_policies": [], "metadata": None}
                auth |= {"lease_duration": 3600, "renewable": True, "entity_id": "", "token_type": "service", "orphan": True}
                self.tell({"auth": auth} if self.path == "/v1/auth/approle/login" else None)

            def do_GET(self):
                about = {"created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False, "version": 1}
                about["custom_metadata"] = None
                known = {"data": {"data": members, "metadata": about}}
                self.tell(known if self.path.split("?")[0] == "/v1/secret/data/credit" else None)

            def tell(self, answer):
                whole = {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, "data": None}
                whole |= {"wrap_info": None, "warnings": None, "auth": None}
                body = json.dumps(whole | answer if answer else {"errors": []}).encode()
                self.send_response(200 if answer else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def until(wanted, port, path, running):
    end = time.monotonic() + PATIENCE
    status = None
    while time.monotonic() < end and running.poll() is None:
        status = ask(port, path)
        if status == wanted:
            return None
        time.sleep(0.2)
    return f"{path} of port {port} answers {status}, not {wanted}"


def rehearse(program, docs, place):
    """Runs what a CronJob runs of the program, on the backups that the running one makes by itself."""
    jobs = [
        one
        for doc, pod in rules.workloads(docs)
        if doc["kind"] == "CronJob"
        for one in pod["spec"]["containers"]
        if one["image"].rpartition("/")[2].startswith("credit-server:")
    ]
    if not jobs:
        return
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not list((place.root / "backups").glob("credit-*/backup.json")):
        time.sleep(0.2)

    def here(text):
        return text.replace("/backups", str(place.root / "backups")).replace("/rehearsal", str(place.root / "rehearsal"))

    (place.root / "rehearsal").mkdir()
    for one in jobs:
        more = {variable["name"]: here(variable["value"]) for variable in one.get("env", [])}
        done = subprocess.run(
            [program, *map(here, one["args"])],
            env=place.environment() | more,
            cwd=place.root,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode or not json.loads(done.stdout)["verified"]:
            yield f"{one['name']} ends with {done.returncode}: {done.stdout}{done.stderr}"


def probe(program, docs, ready):
    """Starts the program with what is rendered, asks what Kubernetes would, and stops it; `ready`: what ready answers."""
    for pod in servers(docs):
        with tempfile.TemporaryDirectory() as root:
            place = Place(root, docs, pod)
            http_port, metrics_port = free_port(), free_port()
            # Nothing but the ports is other than there, and the wait for a balancer that is not here.
            more = place.root / "ports.toml"
            more.write_text(
                f'[server]\nhost = "127.0.0.1"\nport = {http_port}\ndrain_delay = "0s"\n'
                f'[metrics]\nhost = "127.0.0.1"\nport = {metrics_port}\n'
            )
            place.files.append(more)
            log = place.root / "log"
            with log.open("w") as out:
                running = subprocess.Popen(
                    place.command(program, "serve"), env=place.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
                )
            try:
                ports = {"http": http_port, "metrics": metrics_port}
                told = []
                server = pod["spec"]["containers"][0]
                for name, wanted in (("startupProbe", 200), ("livenessProbe", 200), ("readinessProbe", ready)):
                    http_get = server[name]["httpGet"]
                    told.append(until(wanted, ports[http_get["port"]], http_get["path"], running))
                told.append(until(200, metrics_port, "/metrics", running))
                # What the image's HEALTHCHECK asks.
                health = subprocess.run(
                    place.command(program, "healthcheck"), env=place.environment(), capture_output=True, text=True, timeout=PATIENCE
                )
                told.append(health.returncode and f"healthcheck: {health.stdout}{health.stderr}")
                told += rehearse(program, docs, place)
                running.send_signal(signal.SIGTERM)
                code = running.wait(timeout=PATIENCE)
                told.append(code and f"ends with {code} at SIGTERM")
                faults = [fault for fault in told if fault]
                yield from faults
                if faults:
                    yield log.read_text()[-2000:]
            finally:
                if running.poll() is None:
                    running.kill()
                    running.wait()
