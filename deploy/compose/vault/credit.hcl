# All that the service may do in Vault: read its secret, and look after its own token.
path "secret/data/credit" {
  capabilities = ["read"]
}
