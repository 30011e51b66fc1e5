#!/usr/bin/env bash
# Brings the gate's tools into target/tools, once, each pinned: `scripts/tools.sh [NAME...]`.
# Only package registries are asked (crates.io, npm, PyPI, Debian), through their ordinary clients.
# A tool of the right version that is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DENY_VERSION=0.20.2
REDOCLY_VERSION=2.77.0

tools=target/tools
mkdir -p "$tools"

say() { printf 'tools: %s\n' "$*"; }

die() {
    printf 'tools: %s\n' "$*" >&2
    exit 1
}

need() { command -v "$1" >/dev/null 2>&1 || die "$2"; }

cargo_deny() {
    local bin=$tools/bin/cargo-deny
    if [[ -x $bin && $("$bin" --version) == "cargo-deny $CARGO_DENY_VERSION" ]]; then
        say "cargo-deny $CARGO_DENY_VERSION is there"
        return
    fi
    say "cargo-deny $CARGO_DENY_VERSION is built from crates.io (some minutes, once)"
    # Its own build directory, removed afterwards: it shares nothing with ours and must not fill target/.
    local build
    build=$(mktemp -d)
    if ! CARGO_TARGET_DIR=$build cargo install cargo-deny --version "$CARGO_DENY_VERSION" --locked --quiet --root "$tools"; then
        rm -rf "$build"
        die "cargo-deny could not be built"
    fi
    rm -rf "$build"
}

redocly() {
    local home=$tools/redocly
    if [[ $(cat "$home/version" 2>/dev/null) == "$REDOCLY_VERSION" ]]; then
        say "redocly $REDOCLY_VERSION is there"
        return
    fi
    need npm "npm is missing: install Node.js 20.19 or later (Debian: apt-get install -y nodejs npm)"
    say "redocly $REDOCLY_VERSION is installed from npm"
    rm -rf "$home"
    mkdir -p "$home"
    npm install --prefix "$home" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "@redocly/cli@$REDOCLY_VERSION"
    echo "$REDOCLY_VERSION" >"$home/version"
}

schemathesis() {
    local home=$tools/schemathesis wanted=.config/schemathesis-requirements.txt
    if cmp -s "$wanted" "$home/requirements.txt"; then
        say "schemathesis is there"
        return
    fi
    need python3 "python3 is missing: install Python 3.10 or later (Debian: apt-get install -y python3 python3-venv)"
    say "schemathesis is installed from PyPI"
    rm -rf "$home"
    python3 -m venv "$home" || die "python3 has no venv (Debian: apt-get install -y python3-venv)"
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$wanted"
    cp "$wanted" "$home/requirements.txt"
}

wrk() {
    if command -v wrk >/dev/null 2>&1; then
        say "wrk is there"
        return
    fi
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null 2>&1; then
        die "wrk, the load generator, is missing: install the package wrk of your system (Debian: sudo apt-get install -y wrk) and run this again"
    fi
    say "wrk is installed from Debian"
    apt-get install -y -qq wrk >/dev/null 2>&1 || {
        apt-get update -qq
        apt-get install -y -qq wrk >/dev/null
    }
}

[[ $# -gt 0 ]] || set -- cargo-deny redocly schemathesis wrk
for tool in "$@"; do
    case $tool in
        cargo-deny) cargo_deny ;;
        redocly) redocly ;;
        schemathesis) schemathesis ;;
        wrk) wrk ;;
        *) die "no tool is called \"$tool\": cargo-deny, redocly, schemathesis, wrk" ;;
    esac
done
