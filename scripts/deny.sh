#!/usr/bin/env bash
# Licences, bans and sources always; advisories when their database can be had. `scripts/deny.sh`.
#
# The RustSec database is a git repository on GitHub, and no package registry carries it. Where it cannot be
# reached and no copy lies in target/tools/advisory-db, that part is reported as not run, loudly, and the rest
# still counts. Nothing is made up in its place.
set -euo pipefail
cd "$(dirname "$0")/.."

deny() { target/tools/bin/cargo-deny --log-level error --locked --all-features --workspace "$@"; }

scripts/tools.sh cargo-deny

# Duplicate versions are warnings: counted here, listed by `cargo deny check bans`.
deny check --hide-inclusion-graph licenses bans sources

if timeout 60 target/tools/bin/cargo-deny fetch db >/dev/null 2>&1; then
    deny check advisories
elif compgen -G 'target/tools/advisory-db/*/.git' >/dev/null; then
    echo 'cargo deny advisories: the database cannot be fetched, the copy at hand is used'
    deny check --disable-fetch advisories
else
    echo
    echo '!!! NOT RUN: cargo deny advisories (database unreachable) !!!'
    # shellcheck disable=SC2016 # a command, shown as it is
    echo '    Run `make deny` once where the RustSec advisory database can be fetched.'
fi
