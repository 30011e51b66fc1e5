"""The running program, as Prometheus sees it."""

import contextlib
import json
import pathlib
import secrets
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

import program


def call(method, url, body=None, headers=None):
    """Status and body; a refusal is an answer like any other."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Running:
    """A program that serves in profile dev, with a place of its own; whoever has it can call it as the application."""

    def __init__(self, server, root, more="", environment=None):
        self.root = pathlib.Path(root)
        self.http, self.metrics = program.free_port(), program.free_port()
        self.base = f"http://127.0.0.1:{self.http}"
        self.config = self.root / "credit.toml"
        self.config.write_text(
            f'profile = "dev"\ndata_dir = "{self.root / "data"}"\n[server]\nhost = "127.0.0.1"\nport = {self.http}\n'
            f'[metrics]\nhost = "127.0.0.1"\nport = {self.metrics}\n{more}'
        )
        self.environment = environment or {}
        self.server = server
        self.running = None

    def command(self, *words):
        return [self.server, "--config", str(self.config), *words]

    def start(self):
        with (self.root / "log").open("a") as log:
            self.running = subprocess.Popen(self.command("serve"), env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return program.until(200, self.http, "/health/ready", self.running)

    def stop(self):
        """Its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(timeout=program.PATIENCE)

    def log(self):
        return (self.root / "log").read_text()[-3000:]

    def key(self):
        credentials = json.loads((self.root / "data/dev-credentials.json").read_text())
        return {"x-api-key": credentials["api_key"]}

    def ask(self, method, path, body=None, headers=None):
        return call(method, self.base + path, body, headers)


@contextlib.contextmanager
def serving(server, **options):
    with tempfile.TemporaryDirectory() as root:
        one = Running(server, root, **options)
        try:
            yield one
        finally:
            if one.running and one.running.poll() is None:
                one.running.kill()
                one.running.wait()


def key(text=""):
    return {"idempotency-key": f"ops-{text}{secrets.token_hex(8)}"}


def user(one, app):
    """A new user's id, and that of the wallet."""
    name = f"user{secrets.token_hex(4)}"
    body = {"username": name, "email": f"{name}@credit.example", "password": secrets.token_urlsafe(16)}
    status, answer = one.ask("POST", "/v1/auth/register", body, app)
    assert status == 201, answer
    who = json.loads(answer)["user"]["id"]
    wallets = json.loads(one.ask("GET", f"/v1/wallets?user_id={who}", headers=app)[1])
    return who, wallets["data"][0]["id"]


def transact(one, app, kind, wallet, amount):
    return one.ask("POST", "/v1/transactions", {"type": kind, "wallet_id": wallet, "amount": amount}, app | key(f"{kind}-"))


def traffic(one, users=1):
    """Users with wallets who buy and spend, one of them too much; what was answered that should not have been."""
    app = one.key()
    for _ in range(users):
        _, wallet = user(one, app)
        for kind, amount, wanted in (("purchase", 100, 201), ("spend", 30, 201), ("spend", 1000, 402)):
            status, body = transact(one, app, kind, wallet, amount)
            if status != wanted:
                return f"a {kind} of {amount} answers {status}: {body}"
    return None


def series(text):
    return {line.rsplit(" ", 1)[0] for line in text.splitlines() if line and not line.startswith("#")}


def metrics(server, promtool):
    """What `/metrics` says after some traffic is well made, and does not grow with what callers make up."""
    with serving(server) as one:
        failed = one.start() or traffic(one)
        if failed:
            yield failed
            yield one.log()
            return
        one.ask("GET", "/made-up/0")
        before = call("GET", f"http://127.0.0.1:{one.metrics}/metrics")[1]
        done = subprocess.run([promtool, "check", "metrics"], input=before, capture_output=True, text=True, timeout=60)
        if done.returncode or done.stderr.strip():
            yield f"promtool: {done.stdout}{done.stderr}".strip()
        for number in range(1000):
            one.ask(("GET", "POST")[number % 2], f"/made-up/{secrets.token_hex(6)}/{number}")
        after = call("GET", f"http://127.0.0.1:{one.metrics}/metrics")[1]
        new = series(after) - series(before)
        # By method, and by what they are answered with once a limit takes hold. Time brings jobs that had not run yet.
        grown = sorted(name for name in new if "http" in name and "_bucket" not in name)
        if len(grown) > 10:
            yield f"a thousand made-up paths make {len(grown)} new series: {grown[:10]}"
        code = one.stop()
        if code:
            yield f"ends with {code} at SIGTERM"
