# What one does with this house. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The integration tests, the demo and the fuzzer start this program.
export CREDIT_SERVER_BIN ?= $(TARGET_DIR)/debug/credit-server
# `affected` compares with where this branch left BASE.
BASE ?= HEAD

##@ Every day

.PHONY: help
help: ## list what can be made
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## start the service in profile dev, data in ./.credit
	$(CARGO) run --locked

.PHONY: demo
demo: server ## walk a real story against the real program, over HTTP
	$(CARGO) run --quiet --locked -p credit-tests --example demo

.PHONY: server
server: ## build the program
	$(CARGO) build --locked -p credit-server

##@ Is it right?

.PHONY: parts
parts: ## bring the real servers that tests start: MongoDB, Redis; and strace
	@scripts/tools.sh --quiet mongod redis strace

.PHONY: test
test: server parts ## run every test
	$(CARGO) test --workspace --locked --no-fail-fast

.PHONY: test-deep
test-deep: ## play 100,000 random sequences of calls against the naive model (a minute, once built)
	CREDIT_TEST_SEQUENCES=100000 $(CARGO) test --locked --release -p credit-transactions --test decide

.PHONY: lint
lint: ## clippy and rustdoc, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check: ## is the code formatted?
	$(CARGO) fmt --all --check

.PHONY: deny
deny: ## licences, bans, sources and advisories of the dependencies
	scripts/deny.sh

.PHONY: openapi
openapi: server ## write openapi.json from the code
	$(CREDIT_SERVER_BIN) openapi > openapi.json.new
	mv openapi.json.new openapi.json

.PHONY: openapi-check
openapi-check: server ## is openapi.json what the code says?
	@$(CREDIT_SERVER_BIN) openapi | diff -u openapi.json - \
		|| { echo "openapi.json is not what the code says: run \`make openapi\` and read the difference"; exit 1; }
	@echo "openapi.json is what the code says"

.PHONY: docs
docs: server ## write from the code what docs/ has of it: metrics, configuration
	$(CREDIT_SERVER_BIN) docs docs

.PHONY: docs-check
docs-check: server ## is docs/ what the code says?
	@$(CREDIT_SERVER_BIN) docs --check docs
	@echo "docs/metrics.md and docs/configuration.md are what the code says"

.PHONY: openapi-lint
openapi-lint: ## lint openapi.json
	scripts/openapi-lint.sh

.PHONY: ops-check
ops-check: server ## check Dockerfile, deploy/ and alerts with the real tools, and the program with what they configure
	@scripts/tools.sh --quiet ops kubernetes-models promtool image mongod
	@$(abspath target/tools)/ops/bin/python scripts/ops/check.py

.PHONY: image-check
image-check: server ## build the image around the program, start it as 65532 with a read-only root, ask, stop (root)
	@scripts/tools.sh --quiet ops image
	@$(abspath target/tools)/ops/bin/python scripts/ops/image.py runtime

.PHONY: image-check-full
image-check-full: ## the same with every stage of the Dockerfile, from the sources (root; a quarter of an hour and more)
	@scripts/tools.sh --quiet ops image
	@$(abspath target/tools)/ops/bin/python scripts/ops/image.py full

.PHONY: sbom
sbom: ## write what the program is made of, as CycloneDX: target/sbom/credit-server.cdx.json
	scripts/sbom.py target/sbom/credit-server.cdx.json

.PHONY: monitoring
monitoring: ## write what is made of the alerts and of the code of the dashboards
	@scripts/tools.sh --quiet ops
	@$(abspath target/tools)/ops/bin/python scripts/ops/monitoring.py

.PHONY: rules
rules: ## print the alert rules with links to where your people read docs/: RUNBOOKS=git.shop.com/credit/blob/main
	@[[ -n "$(RUNBOOKS)" ]] || { echo "say where: make rules RUNBOOKS=git.shop.com/credit/blob/main"; exit 2; }
	@scripts/tools.sh --quiet ops
	@$(abspath target/tools)/ops/bin/python scripts/ops/monitoring.py rules "$(RUNBOOKS)"

.PHONY: ops-filled
ops-filled: ## list the sample values that an overlay still has: OVERLAY=deploy/k8s/overlays/prod
	@[[ -n "$(OVERLAY)" ]] || { echo "say which: make ops-filled OVERLAY=deploy/k8s/overlays/prod"; exit 2; }
	@scripts/tools.sh --quiet ops
	@$(abspath target/tools)/ops/bin/python scripts/ops/check.py filled $(OVERLAY)

.PHONY: fuzz
fuzz: server ## throw generated requests at the live program (SEED=, EXAMPLES=)
	scripts/tools.sh schemathesis
	scripts/fuzz.py $(if $(SEED),--seed $(SEED)) $(if $(EXAMPLES),--examples $(EXAMPLES))

.PHONY: ci
ci: ## the whole gate, as it runs before anything lands
	.ci/run

##@ One crate at a time

.PHONY: check-crate
check-crate: ## format, lint, test and document one crate: CRATE=credit-wallet
	@[[ -n "$(CRATE)" ]] || { echo "say which: make check-crate CRATE=credit-wallet"; scripts/affected.py --all; exit 2; }
	$(if $(filter credit-tests,$(CRATE)),$(CARGO) build --locked -p credit-server)
	$(CARGO) fmt --check -p $(CRATE)
	$(CARGO) clippy --all-targets --locked -p $(CRATE) -- -D warnings
	$(CARGO) test --locked -p $(CRATE)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked -p $(CRATE)

.PHONY: affected
affected: ## list the changed crates and all that depend on them: BASE=main
	@scripts/affected.py $(BASE)

.PHONY: check-affected
check-affected: ## check-crate for each of those: BASE=main
	@for crate in $$(scripts/affected.py $(BASE)); do echo "== $$crate"; $(MAKE) check-crate CRATE=$$crate; done

.PHONY: isolate
isolate: server ## build and test each crate alone, and copied out of the house (CRATE= for one)
	scripts/isolate.py $(CRATE)

##@ How fast?

.PHONY: bench
bench: ## durable spends a second over HTTP, and the ledger alone
	scripts/tools.sh wrk
	$(MAKE) bench-http bench-ledger

.PHONY: bench-http
bench-http: release ## only over HTTP
	scripts/tools.sh wrk
	CREDIT_SERVER_BIN=$(TARGET_DIR)/release/credit-server \
		$(CARGO) run --quiet --release --locked -p credit-tests --example bench -- http

.PHONY: bench-ledger
bench-ledger: ## only the ledger
	$(CARGO) run --quiet --release --locked -p credit-tests --example bench -- ledger

.PHONY: bench-mongo
bench-mongo: release ## on MongoDB, beside the raw driver (BENCH_SECONDS=, BENCH_WALLETS=, BENCH_CONNECTIONS=, BENCH_ROUNDS=, BENCH_TCP=1)
	scripts/tools.sh wrk mongod
	CREDIT_SERVER_BIN=$(TARGET_DIR)/release/credit-server \
		$(CARGO) run --quiet --release --locked -p credit-tests --example bench -- mongo

.PHONY: release
release: ## build the program as it is shipped
	$(CARGO) build --release --locked -p credit-server

##@ Housekeeping

.PHONY: tools
tools: ## bring the gate's tools into target/tools
	scripts/tools.sh

.PHONY: clean
clean: ## remove what was built; data in ./.credit stays
	$(CARGO) clean
