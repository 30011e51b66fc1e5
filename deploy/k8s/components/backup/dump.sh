#!/bin/sh
# One dump of the whole deployment with its oplog, so that it is of one moment; the newest $KEEP are kept.
# A dump has its name only when it is whole.
set -eu
umask 077
config=/tmp/mongodump.yaml
# In a file and not on the command line, where every process of the node could read it.
{ printf 'uri: "'; tr -d '\n' </run/secrets/credit-backup/mongodb_backup_uri; printf '"\n'; } >"$config"
name=credit-$(date -u +%Y%m%dT%H%M%SZ).archive.gz
rm -f "$BACKUPS"/*.part
mongodump --config="$config" --oplog --gzip --archive="$BACKUPS/$name.part"
sync "$BACKUPS/$name.part"
mv "$BACKUPS/$name.part" "$BACKUPS/$name"
echo "kept $name, $(stat -c %s "$BACKUPS/$name") bytes"
find "$BACKUPS" -maxdepth 1 -name 'credit-*.archive.gz' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
    rm -f "$old"
    echo "removed $old"
done
