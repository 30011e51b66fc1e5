#!/usr/bin/env bash
# Lints openapi.json by .config/redocly.yaml: `scripts/openapi-lint.sh [FILE]`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/tools.sh redocly

# It must tell nobody that it ran, nor look for a newer self.
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true CI=true
exec target/tools/redocly/node_modules/.bin/redocly lint \
    --config .config/redocly.yaml --lint-config error --format stylish "${1:-openapi.json}"
