#!/usr/bin/env python3
"""Every crate alone: its own tests with nothing but what it names, and a copy of it outside the house.

    scripts/isolate.py [CRATE...]        all crates without an argument

For each crate: `cargo test -p CRATE`; then the crate and those below it are copied to a workspace of their
own under target/isolate, and `cargo check --all-targets` must pass there, offline. The copies share the
build directory, so only our own crates are built again.
"""

import os
import re
import shutil
import subprocess
import sys
import time

from affected import lowest_first, workspace

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
CARGO = os.environ.get("CARGO", "cargo")
# Beside the crates, what a copy is built with.
ROOT_FILES = ["Cargo.lock", "clippy.toml", "rustfmt.toml"]


def closure(crates, name):
    found, waiting = set(), [name]
    while waiting:
        crate = waiting.pop()
        if crate not in found:
            found.add(crate)
            waiting.extend(crates[crate][1])
    return found


def root_manifest(members):
    """Our root manifest, with only these members in it."""
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as file:
        text = file.read()
    listed = ", ".join(f'"{member}"' for member in sorted(members))
    text, replaced = re.subn(r"(?m)^members = \[[^\]]*\]", f"members = [{listed}]", text)
    assert replaced == 1, "the root manifest has one list of members"
    return re.sub(r"(?m)^default-members = \[[^\]]*\]\n", "", text)


def copy_out(crates, name):
    """A workspace of the crate and those below it; answers its folder. The path stays the same from run to
    run, so that unchanged crates need no building."""
    home = os.path.join(ROOT, "target", "isolate", name)
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    folders = [crates[member][0] for member in closure(crates, name)]
    for folder in folders:
        # copytree keeps modification times: cargo sees what really changed.
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(home, folder), ignore=shutil.ignore_patterns("target"))
    for file in ROOT_FILES:
        if os.path.exists(os.path.join(ROOT, file)):
            shutil.copy2(os.path.join(ROOT, file), home)
    with open(os.path.join(home, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(root_manifest(folders))
    return home


def step(what, command, cwd, environment):
    started = time.monotonic()
    print(f"isolate: {what}", flush=True)
    finished = subprocess.run(command, cwd=cwd, env=environment, check=False)
    seconds = time.monotonic() - started
    print(f"isolate: {what}: {'good' if finished.returncode == 0 else 'FAILED'} after {seconds:.0f} s", flush=True)
    return finished.returncode == 0


def main(wanted):
    os.chdir(ROOT)
    crates = workspace()
    unknown = [name for name in wanted if name not in crates]
    if unknown:
        sys.exit(f"isolate: no crate is called {', '.join(unknown)}: {', '.join(lowest_first(crates, crates))}")
    environment = dict(os.environ)
    environment.setdefault("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    failed = []
    for name in wanted or lowest_first(crates, crates):
        if not step(f"{name} alone", [CARGO, "test", "--locked", "--quiet", "-p", name], ROOT, environment):
            failed.append(f"{name} alone")
        # Without --locked: the copy's lock file loses the crates that only others need. Offline: it gains none.
        check = [CARGO, "check", "--offline", "--quiet", "--all-targets", "-p", name]
        if not step(f"{name} copied out", check, copy_out(crates, name), environment):
            failed.append(f"{name} copied out")
    if failed:
        sys.exit(f"isolate: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
