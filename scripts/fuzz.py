#!/usr/bin/env python3
"""Throws generated requests at the live program and looks at every answer.

    scripts/fuzz.py [--seed N] [--examples N]

Starts the program in $CREDIT_SERVER_BIN on free loopback ports with a store of its own in a temporary folder,
then runs schemathesis over the document it serves three times: as the application (API key), as the operator
(access token of the admin) and as nobody. Looked for: answers of 5xx, statuses, content types, headers and
bodies that openapi.json does not promise, and routes that ignore who is calling. At the end the program must
still be alive, its ledger must verify, and its log must know of no panic.

The seed is fixed, printed, and may be given; with the same seed the same requests are made.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMATHESIS = ROOT / "target/tools/schemathesis/bin/schemathesis"
SETTINGS = ROOT / ".config/schemathesis.toml"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# The operator's run must not end or lock out its own session half way.
ENDS_THE_SESSION = r"^/v1/auth/(logout|logout-all|password|sessions/.*|refresh)$"
READY_SECONDS = 30
RUN_SECONDS = 300


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def call(method, url, body=None, headers=None):
    """Status and body; a refusal is an answer like any other."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


class Server:
    """The program under test, with a house of its own. Ends with the `with` block."""

    def __init__(self, binary, home):
        self.binary, self.home = binary, pathlib.Path(home)
        self.base = f"http://127.0.0.1:{free_port()}"

    def __enter__(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CREDIT_")}
        environment |= {
            "CREDIT_DATA_DIR": str(self.home / "data"),
            "CREDIT_SERVER__HOST": "127.0.0.1",
            "CREDIT_SERVER__PORT": self.base.rsplit(":", 1)[1],
            "CREDIT_METRICS__HOST": "127.0.0.1",
            "CREDIT_METRICS__PORT": str(free_port()),
            "CREDIT_LOG__LEVEL": "warn",
            "CREDIT_AUTH__ACCESS_TTL": "1h",
        }
        self.log = open(self.home / "server.log", "wb")
        self.process = subprocess.Popen(
            [self.binary, "serve"], cwd=self.home, env=environment,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
        )
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self):
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if call("GET", f"{self.base}/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit(f"fuzz: the program was not ready within {READY_SECONDS} s:\n{self.log_text()}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def log_text(self):
        return (self.home / "server.log").read_text(errors="replace")[-4000:]

    def credentials(self):
        return json.loads((self.home / "data/dev-credentials.json").read_text())

    def admin_token(self):
        admin = self.credentials()["admin"]
        status, body = call(
            "POST", f"{self.base}/v1/auth/login", {"login": admin["username"], "password": admin["password"]}
        )
        if status != 200:
            raise SystemExit(f"fuzz: the admin of dev-credentials.json cannot log in: {status} {body[:500]!r}")
        return json.loads(body)["access_token"]


def fuzz(server, who, header, arguments, extra):
    """One run; answers whether it found nothing. `header` is who calls, None for nobody."""
    checks = CHECKS + (["ignored_auth"] if header else [])
    command = [
        str(SCHEMATHESIS), "--config-file", str(SETTINGS), "run", f"{server.base}/openapi.json", "--url", server.base,
        "--checks", ",".join(checks), "--seed", str(arguments.seed), "--max-examples", str(arguments.examples),
        "--generation-database", "none", "--request-timeout", "30",
        "--warnings", "off", "--no-color", "--continue-on-failure", *extra,
    ]
    if header:
        command += ["--header", header]
    print(f"fuzz: as {who}, seed {arguments.seed}, {arguments.examples} examples", flush=True)
    started = time.monotonic()
    try:
        # The key is the temporary house's own; still it is not printed.
        code = subprocess.run(command, cwd=server.home, check=False, timeout=RUN_SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"fuzz: as {who}: not done within {RUN_SECONDS} s", flush=True)
        return False
    verdict = "nothing found" if code == 0 else "FAILED"
    print(f"fuzz: as {who}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


def afterwards(server, token):
    """What is wrong with the house after the storm. `token` is an admin's from before: the storm may rename it."""
    if server.process.poll() is not None:
        return [f"the program ended with {server.process.returncode}"]
    wrong = []
    status, body = call("POST", f"{server.base}/v1/ledger/verify", {}, {"Authorization": f"Bearer {token}"})
    if status != 200 or json.loads(body).get("ok") is not True:
        wrong.append(f"the ledger does not verify: {status} {body[:1000]!r}")
    panics = re.findall(r"(?im)^.*\bpanicked\b.*$", (server.home / "server.log").read_text(errors="replace"))
    wrong += [f"a panic in the log: {line[:500]}" for line in panics[:5]]
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--examples", type=int, default=15)
    arguments = parser.parse_args()
    binary = os.environ.get("CREDIT_SERVER_BIN", str(ROOT / "target/debug/credit-server"))

    # A Python of other people's settings must not find its way in.
    with tempfile.TemporaryDirectory(prefix="credit-fuzz-") as home, Server(os.path.abspath(binary), home) as server:
        print(f"fuzz: {server.base}", flush=True)
        good = fuzz(server, "an application", f"X-API-Key: {server.credentials()['api_key']}", arguments, [])
        token = server.admin_token()
        # Fewer phases where only the refusals differ.
        good &= fuzz(
            server, "the operator", f"Authorization: Bearer {token}", arguments,
            ["--exclude-path-regex", ENDS_THE_SESSION, "--phases", "examples,coverage,fuzzing"],
        )
        good &= fuzz(server, "nobody", None, arguments, ["--phases", "examples,coverage"])
        wrong = afterwards(server, token)
        for line in wrong:
            print(f"fuzz: {line}")
        if wrong or not good:
            sys.exit(f"fuzz: FAILED; the program said last:\n{server.log_text()}")
    print("fuzz: nothing found")


if __name__ == "__main__":
    main()
