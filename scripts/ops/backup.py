"""The scripts of deploy/backup with a real mongod: export, restore into another database, and the same money there."""

import base64
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import time

import pymongo

import live
import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
USERS = 5


def mongod():
    kept = ROOT / "target/tools/mongod/mongod"
    return os.environ.get("MONGOD_BIN") or (str(kept) if kept.exists() else shutil.which("mongod"))


@contextlib.contextmanager
def replica_set():
    """One node, which keeps every promise but that of surviving its machine. Gives its address."""
    with tempfile.TemporaryDirectory() as place:
        port = program.free_port()
        command = [mongod(), "--dbpath", place, "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", "rs0"]
        command += ["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with pymongo.MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=60_000) as client:
                members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                end = time.monotonic() + 60
                while not client.admin.command("hello")["isWritablePrimary"]:
                    assert time.monotonic() < end, "no primary"
                    time.sleep(0.1)
            yield f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"
        finally:
            running.terminate()
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def keys():
    """Keys of its own: an export has none, and without them what is personal stays sealed."""
    made = [base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(4)]
    return (
        f'[auth]\ntoken_keys = "{made[0]}"\n[encryption]\nkeys = "{made[1]}"\nindex_keys = "{made[2]}"\ncursor_key = "{made[3]}"\n'
    )


def on(address, database):
    return f'[store]\nbackend = "mongodb"\n[store.mongodb]\nuri = "{address}"\ndatabase = "{database}"\n'


def script(server, name, *words):
    environment = {"PATH": os.environ["PATH"], "CREDIT_SERVER": server, "KEEP": "1"}
    return subprocess.run([str(ROOT / f"deploy/backup/{name}"), *map(str, words)], env=environment, capture_output=True, text=True, timeout=240)


def balances(one):
    wallets = json.loads(one.ask("GET", "/v1/wallets?limit=100", headers=one.key())[1])["data"]
    return sorted((wallet["id"], wallet["balance"]) for wallet in wallets)


def faults(server):
    with replica_set() as address, tempfile.TemporaryDirectory() as root:
        root, secret = pathlib.Path(root), keys()
        for name in ("before", "after"):
            (root / name).mkdir()
        before = live.Running(server, root / "before", secret + on(address, "before"))
        after = live.Running(server, root / "after", secret + on(address, "after"))
        try:
            yield from journey(server, root, before, after)
        except AssertionError as fault:
            yield f"{fault}"
        finally:
            for one in (before, after):
                if one.running and one.running.poll() is None:
                    one.running.kill()
                    one.running.wait()


def journey(server, root, before, after):
    failed = before.start() or live.traffic(before, USERS)
    if failed:
        yield f"{failed}: {before.log()}"
        return
    was = balances(before)
    # The admin has one too.
    yield from unequal("wallets before the export", USERS + 1, len(was))
    if before.stop():
        yield f"the service does not stop well: {before.log()}"
    backups = root / "backups"
    for _ in range(2):
        done = script(server, "export.sh", before.config, backups)
        if done.returncode:
            yield f"export.sh: {done.stdout}{done.stderr}"
            return
        # Names have seconds in them.
        time.sleep(1.1)
    kept = sorted(backups.iterdir())
    yield from unequal("exports that are kept (KEEP=1)", 1, len(kept))
    if json.loads((kept[0] / "copied.json").read_text()).get("verified") is not True:
        yield "the export was not verified"
    yield from refuses_damage(server, root, kept[0], after)
    done = script(server, "restore.sh", after.config, kept[0])
    if done.returncode:
        yield f"restore.sh: {done.stdout}{done.stderr}"
        return
    again = script(server, "restore.sh", after.config, kept[0])
    if not again.returncode or "not empty" not in again.stderr:
        yield f"restore.sh writes over what is there: {again.stdout}{again.stderr}"
    # What profile dev keeps beside the store: without it, it would make another admin and another key.
    (root / "after/data").mkdir(mode=0o700)
    for file in ("dev-credentials.json", "dev-secrets.json"):
        if (root / "before/data" / file).exists():
            shutil.copy(root / "before/data" / file, root / "after/data" / file)
    if failed := after.start():
        yield f"on what was restored: {failed}: {after.log()}"
        return
    yield from unequal("balances", was, balances(after))
    if failed := live.traffic(after):
        yield f"on what was restored: {failed}"
    if after.stop():
        yield f"the service does not stop well: {after.log()}"


def refuses_damage(server, root, kept, after):
    spoilt = root / "spoilt"
    shutil.copytree(kept, spoilt)
    with (spoilt / "store/journal.redb").open("r+b") as file:
        file.seek(9000)
        file.write(b"spoilt")
    done = script(server, "restore.sh", after.config, spoilt)
    if not done.returncode or "damaged" not in done.stderr:
        yield f"restore.sh takes a damaged export: {done.stdout}{done.stderr}"


def unequal(what, wanted, found):
    if wanted != found:
        yield f"{what}: {found}, not {wanted}"
