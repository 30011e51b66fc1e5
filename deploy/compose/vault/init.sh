#!/bin/sh
# Gives Vault the policy, the login and the secrets of the service. Secrets are made once and kept on a volume: what is
# stored in MongoDB is sealed with them. It may be run again.
set -eu
umask 077

secrets=/state/secrets.json
if [ ! -s "$secrets" ]; then
    random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
    cat >"$secrets.new" <<JSON
{
  "auth.token_keys": "$(random 32)",
  "encryption.keys": "$(random 32)",
  "encryption.index_keys": "$(random 32)",
  "encryption.cursor_key": "$(random 32)",
  "store.mongodb.uri": "mongodb://mongodb:27017/?replicaSet=rs0",
  "cache.redis.url": "redis://redis:6379",
  "bootstrap.admin_username": "root",
  "bootstrap.admin_email": "root@credit.example",
  "bootstrap.admin_password": "$(random 18)"
}
JSON
    mv "$secrets.new" "$secrets"
fi

vault policy write credit /credit.hcl
vault auth list | grep -q '^approle/' || vault auth enable approle
vault write auth/approle/role/credit token_policies=credit token_ttl=1h token_max_ttl=24h
vault write auth/approle/role/credit/role-id role_id=credit-server
vault kv put -mount=secret credit @"$secrets" >/dev/null

# For the user of the service alone.
vault write -f -field=secret_id auth/approle/role/credit/secret-id >/login/secret_id.new
chown 65532:65532 /login /login/secret_id.new
chmod 0400 /login/secret_id.new
mv -f /login/secret_id.new /login/secret_id
echo "Vault has the secrets of the service"
