#!/bin/sh
# Brings an export of export.sh into an empty MongoDB, and verifies it before and after. No process of the service runs.
#   restore.sh CONFIG... EXPORT          CONFIG: the files that the service is started with; store.mongodb is the target
# Environment: CREDIT_SERVER (the program).
# The export stays as it is: the work is done on a copy. Interrupted, run it again: what is there is not copied twice.
set -eu
umask 077
[ $# -ge 2 ] || { echo "usage: $0 CONFIG... EXPORT" >&2; exit 2; }
program=${CREDIT_SERVER:-credit-server}
configs=
while [ $# -gt 1 ]; do
    [ -r "$1" ] || { echo "$1 is not to be read" >&2; exit 2; }
    case $1 in *[[:space:]]*) echo "$1: no blanks, please" >&2; exit 2 ;; esac
    configs="$configs --config $1"
    shift
done
export_dir=$(cd "$1" && pwd)
(cd "$export_dir" && sha256sum --quiet --check SHA256SUMS) || { echo "$export_dir is damaged: take another one" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/store"
cp "$export_dir"/store/*.redb "$work/store/"
printf 'data_dir = "%s/store"\n[store]\nbackend = "embedded"\n' "$work" >"$work/from.toml"
printf 'data_dir = "%s/store"\n[store]\nbackend = "mongodb"\n' "$work" >"$work/to.toml"

# shellcheck disable=SC2086 # one word for each file
run() { file=$1 && shift && "$program" $configs --config "$work/$file" "$@"; }

echo "verifying the export"
run from.toml ledger verify >/dev/null
echo "copying it"
run from.toml store copy --from embedded --to mongodb
echo "verifying what is in MongoDB now"
run to.toml ledger verify
run to.toml store status
