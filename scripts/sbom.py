#!/usr/bin/env python3
"""What is inside the program, as CycloneDX 1.5 JSON: `sbom.py [FILE]`, or on the standard output.

Made from Cargo.lock by `cargo metadata`: every crate that the program is linked from, or that runs while it is built,
on the platform of the image. The same lock gives the same file, so that two can be compared. Needs nothing but Python.
"""

import json
import pathlib
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
PLATFORM = "x86_64-unknown-linux-gnu"
PROGRAM = "credit-server"


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version=1", f"--filter-platform={PLATFORM}"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def checksums():
    """By name and version, out of Cargo.lock, whose lines are simple enough to be read without a parser."""
    found, package = {}, {}
    for line in [*(ROOT / "Cargo.lock").read_text().splitlines(), "[[package]]"]:
        if line == "[[package]]":
            if "checksum" in package:
                found[package["name"], package["version"]] = package["checksum"]
            package = {}
        elif " = \"" in line:
            name, _, value = line.partition(" = ")
            package[name] = value.strip('"')
    return found


def reached(graph, root):
    """What is linked or runs at the build, and what each of them asks for. What only tests want is left out."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    edges, ahead = {}, [root]
    while ahead:
        one = ahead.pop()
        if one in edges:
            continue
        wanted = [dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        edges[one] = sorted(set(wanted))
        ahead += wanted
    return edges


def licence(text):
    # "MIT/Apache-2.0" is how old manifests write a choice.
    return [{"expression": text.replace("/", " OR ")}] if text else []


def component(package, sums, own):
    reference = f"pkg:cargo/{package['name']}@{package['version']}"
    told = {
        "type": "application" if package["name"] == PROGRAM else "library",
        "bom-ref": reference,
        "name": package["name"],
        "version": package["version"],
        "description": package["description"],
        "licenses": licence(package["license"]),
        "purl": reference,
        "hashes": [{"alg": "SHA-256", "content": sums[key]} for key in [(package["name"], package["version"])] if key in sums],
        "externalReferences": [{"type": "vcs", "url": package["repository"]}] if package["repository"] and not own else [],
    }
    return {name: value for name, value in told.items() if value}


def bom():
    graph, sums = metadata(), checksums()
    packages = {package["id"]: package for package in graph["packages"]}
    own = set(graph["workspace_members"])
    root = next(one for one in own if packages[one]["name"] == PROGRAM)
    edges = reached(graph, root)
    parts = {one: component(packages[one], sums, one in own) for one in edges}
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": parts[root]},
        "components": sorted((part for one, part in parts.items() if one != root), key=lambda part: part["bom-ref"]),
        "dependencies": sorted(
            ({"ref": parts[one]["bom-ref"], "dependsOn": sorted(parts[dep]["bom-ref"] for dep in deps)} for one, deps in edges.items()),
            key=lambda entry: entry["ref"],
        ),
    }
    # A number that is the content's own.
    return {**whole, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(whole, sort_keys=True))}"}


def main():
    text = json.dumps(bom(), indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:]:
        file = pathlib.Path(sys.argv[1])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
