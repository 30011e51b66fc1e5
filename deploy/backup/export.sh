#!/bin/sh
# A logical export of a service on MongoDB, with nothing but the program: everything as an embedded store, verified, in a
# directory of its own below BACKUPS. The service works on; the export is of the moment at which it began.
#   export.sh CONFIG... BACKUPS          CONFIG: the files that the service is started with
# Environment: CREDIT_SERVER (the program), KEEP (how many exports are kept; all, if it is not set), STOPPED=1 (every process
# of the service is stopped: an export that was interrupted then goes on where it was).
# An export has its name only when it is whole and verified.
set -eu
umask 077
[ $# -ge 2 ] || { echo "usage: $0 CONFIG... BACKUPS" >&2; exit 2; }
program=${CREDIT_SERVER:-credit-server}
configs=
while [ $# -gt 1 ]; do
    [ -r "$1" ] || { echo "$1 is not to be read" >&2; exit 2; }
    case $1 in *[[:space:]]*) echo "$1: no blanks, please" >&2; exit 2 ;; esac
    configs="$configs --config $1"
    shift
done
mkdir -p "$1"
backups=$(cd "$1" && pwd)
part=$backups/export.part
live=--live
if [ -n "${STOPPED:-}" ]; then
    live=
else
    # Of a moment that is gone.
    rm -rf "$part"
fi
mkdir -p "$part/store"
# Over the service's own files: the export is the embedded store, and its place is here.
printf 'data_dir = "%s/store"\n[store]\nbackend = "embedded"\n' "$part" >"$part/here.toml"

# shellcheck disable=SC2086 # one word for each file
run() { "$program" $configs --config "$part/here.toml" "$@"; }

# shellcheck disable=SC2086 # nothing, or one word
run store copy --from mongodb --to embedded $live >"$part/copied.json"
run ledger verify >"$part/verified.json"
rm -f "$part/here.toml" "$part/store/owner.json"
(cd "$part" && sha256sum store/*.redb copied.json verified.json >SHA256SUMS)
sync
name=credit-$(date -u +%Y%m%dT%H%M%SZ)
mv "$part" "$backups/$name"
sync
echo "kept $backups/$name, $(du -sk "$backups/$name" | cut -f1) KiB"
[ -n "${KEEP:-}" ] || exit 0
find "$backups" -maxdepth 1 -type d -name 'credit-*Z' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
    rm -rf "$old"
    echo "removed $old"
done
