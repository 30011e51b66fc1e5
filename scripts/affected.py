#!/usr/bin/env python3
"""Which crates a change touches: the changed ones and all that depend on them, one a line.

    scripts/affected.py BASE        against the commit where BASE and HEAD part, uncommitted work included
    scripts/affected.py --all       every crate, lowest first
"""

import json
import os
import subprocess
import sys

# Files of the root that every crate is built or linted with.
SHARED = {"Cargo.toml", "Cargo.lock", "clippy.toml", "rustfmt.toml", "rust-toolchain.toml"}
# Files outside a crate that its tests read.
READ_BY = {"openapi.json": "credit-server", "deny.toml": "credit-tests", "Makefile": "credit-tests"}


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def workspace():
    """Our crates: name -> (folder relative to the root, names of our crates it depends on, in any way)."""
    cargo = os.environ.get("CARGO", "cargo")
    metadata = json.loads(run(cargo, "metadata", "--format-version", "1", "--no-deps", "--locked"))
    root = metadata["workspace_root"]
    names = {package["name"] for package in metadata["packages"]}
    return {
        package["name"]: (
            os.path.relpath(os.path.dirname(package["manifest_path"]), root),
            {dependency["name"] for dependency in package["dependencies"] if dependency["name"] in names},
        )
        for package in metadata["packages"]
    }


def changed_files(base):
    parting = run("git", "merge-base", base, "HEAD").strip()
    tracked = run("git", "diff", "--name-only", "--no-renames", "-z", parting).split("\0")
    untracked = run("git", "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    return {path for path in tracked + untracked if path}


def changed_crates(crates, files):
    changed = set()
    for path in files:
        if path in SHARED:
            return set(crates)
        if path in READ_BY:
            changed.add(READ_BY[path])
        changed |= {name for name, (folder, _) in crates.items() if path.startswith(folder + "/")}
    return changed


def with_dependents(crates, changed):
    affected = set(changed)
    while True:
        more = {name for name, (_, below) in crates.items() if below & affected} - affected
        if not more:
            return affected
        affected |= more


def lowest_first(crates, names):
    """Crates after what they depend on; by name where the order is free."""
    depth = {}

    def depth_of(name):
        if name not in depth:
            depth[name] = 0  # a crate's own dev-dependency on one above it must not loop for ever
            depth[name] = 1 + max((depth_of(below) for below in crates[name][1]), default=0)
        return depth[name]

    return sorted(names, key=lambda name: (depth_of(name), name))


def main(arguments):
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    crates = workspace()
    if arguments[0] == "--all":
        names = set(crates)
    else:
        names = with_dependents(crates, changed_crates(crates, changed_files(arguments[0])))
    for name in lowest_first(crates, names):
        print(name)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as failed:
        sys.exit(f"affected: `{' '.join(failed.cmd)}` failed")
