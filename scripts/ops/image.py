"""The image, built and started without a Docker engine: Debian's buildah in a chroot, on bases that are made here.

`image.py runtime` builds the last stage of the Dockerfile around the program that is there already ($CREDIT_SERVER_BIN),
starts it as its user with a read-only root, asks its health check, stops it. `image.py full` builds every stage first.
Both need root, for chroots and namespaces; `scripts/tools.sh image` brings buildah and debootstrap.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOME = ROOT / "target/image"
GOAL = 60 << 20
PATIENCE = 90
USER = 65532
LABELS = ("title", "description", "source", "documentation", "licenses", "version", "revision", "created", "base.name")
# What the base of the runtime has, as distroless/cc: Debian's packages, whole but for their documentation.
RUNTIME_PACKAGES = ("libc6", "libgcc-s1", "ca-certificates", "tzdata")


class Fault(Exception):
    pass


def run(*command, **options):
    """What it prints. A fault if it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise Fault(f"{' '.join(str(word) for word in command[:4])} …: {done.stdout[-2000:]}{done.stderr[-4000:]}".strip())
    return done.stdout


def buildah(*words, **options):
    """Its store is here and goes with target/; nothing is pulled, for there is nothing to pull from."""
    (HOME / "tmp").mkdir(parents=True, exist_ok=True)
    place = ["--root", HOME / "storage", "--runroot", HOME / "run", "--storage-driver", "vfs"]
    # Without a policy of the machine buildah would refuse what it has built itself.
    policy = HOME / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    environment = os.environ | {"TMPDIR": str(HOME / "tmp"), "BUILDAH_ISOLATION": "chroot"}
    if words[0] in ("bud", "commit"):
        words = (words[0], "--signature-policy", policy, *words[1:])
    return run("buildah", *place, *words, env=environment, cwd=ROOT, **options)


def argument(name):
    """What a global ARG of the Dockerfile is when nobody gives another value."""
    return re.search(rf"^ARG {name}=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]


def images():
    return {name for image in json.loads(buildah("images", "--json")) for name in image.get("names") or []}


def commit(root, name, *config):
    container = buildah("from", "--signature-policy", HOME / "policy.json", "scratch").strip()
    try:
        buildah("copy", container, root, "/")
        if config:
            buildah("config", *config, container)
        buildah("commit", "--quiet", container, name)
    finally:
        buildah("rm", container)


def download(packages, place):
    """Packages of this machine's own Debian, through its own apt; nothing is installed."""
    # apt gives up its rights for a download, and then may not write where only we may.
    place.chmod(0o777)
    try:
        run("apt-get", "download", "-qq", *packages, cwd=place)
    except Fault:
        run("apt-get", "update", "-qq")
        run("apt-get", "download", "-qq", *packages, cwd=place)
    return sorted(place.glob("*.deb"))


def runtime_base():
    name = argument("RUNTIME_IMAGE")
    if name in images():
        return
    with tempfile.TemporaryDirectory(dir=HOME) as work:
        packages, root = pathlib.Path(work, "packages"), pathlib.Path(work, "root")
        packages.mkdir()
        root.mkdir()
        pathlib.Path(work).chmod(0o755)
        for package in download(RUNTIME_PACKAGES, packages):
            run("dpkg-deb", "--extract", package, root)
        for waste in ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/sbin", "usr/lib/x86_64-linux-gnu/gconv"):
            shutil.rmtree(root / waste, ignore_errors=True)
        bundle = root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_bytes(b"".join(file.read_bytes() for file in sorted((root / "usr/share/ca-certificates").rglob("*.crt"))))
        (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n")
        (root / "etc/group").write_text(f"root:x:0:\nnonroot:x:{USER}:\n")
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        (root / "home/nonroot").mkdir(parents=True)
        os.chown(root / "home/nonroot", USER, USER)
        commit(root, name, "--user", f"{USER}:{USER}", "--env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")


def mirror():
    """Where this machine gets Debian from: the first source of its apt, in either form."""
    for file in [*pathlib.Path("/etc/apt/sources.list.d").glob("*.sources"), *pathlib.Path("/etc/apt/sources.list.d").glob("*.list"), pathlib.Path("/etc/apt/sources.list")]:
        if file.exists() and (found := re.search(r"^(?:URIs:|deb (?:\[[^]]*\] )?)\s*(https?://\S+)", file.read_text(), re.MULTILINE)):
            return found[1]
    return "http://deb.debian.org/debian"


def build_base():
    """Debian with this machine's Rust in it, where the pinned image has it."""
    name = argument("RUST_IMAGE")
    if name in images():
        return
    suite = name.rpartition("-")[2]
    with tempfile.TemporaryDirectory(dir=HOME) as work:
        root = pathlib.Path(work, "root")
        run("debootstrap", "--variant=minbase", "--include=ca-certificates,gcc,libc6-dev", suite, root, mirror())
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        toolchain = pathlib.Path(run("rustc", "--print", "sysroot").strip())
        # Its programs, its library, and nothing to read.
        for part in ("bin", "lib", "libexec"):
            if (toolchain / part).exists():
                shutil.copytree(toolchain / part, root / "usr/local" / part, symlinks=True, dirs_exist_ok=True)
        # Whom this machine trusts, its registries are known by.
        trusted = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        if trusted.exists():
            shutil.copy(trusted, root / "etc/ssl/certs/ca-certificates.crt")
        (root / "usr/local/cargo").mkdir()
        for file in ("config.toml", "config"):
            mine = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / file
            if mine.exists():
                shutil.copy(mine, root / "usr/local/cargo" / file)
        path = "/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        commit(root, name, "--env", "CARGO_HOME=/usr/local/cargo", "--env", f"PATH={path}")


def told():
    """What only the one who builds knows."""
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip() or "unknown"
    given = {"REVISION": revision, "CREATED": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    return [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]


def build(server, name):
    """The last stage as the Dockerfile has it, with what it copies taken from here."""
    text = (ROOT / "Dockerfile").read_text()
    first, last = text.index("\nFROM "), text.index("\nFROM ${RUNTIME_IMAGE} AS runtime")
    with tempfile.TemporaryDirectory(dir=HOME) as work:
        out = pathlib.Path(work, "out")
        (out / "data").mkdir(parents=True)
        # As it is shipped: without symbols.
        run("strip", "--strip-all", "-o", out / "credit-server", server)
        (out / "credit-server").chmod(0o755)
        stage = "\nFROM scratch AS build\nCOPY out /out\n"
        (pathlib.Path(work) / "Dockerfile").write_text(text[:first] + stage + text[last:])
        buildah("bud", "--pull-never", "--isolation", "chroot", "--format", "docker", *told(), "--tag", name, work)


def build_full(name):
    buildah("bud", "--pull-never", "--isolation", "chroot", "--format", "docker", *told(), "--tag", name, ".")


def settings(name):
    return json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]


def described(config):
    labels = config.get("Labels") or {}
    for label in LABELS:
        if not labels.get(f"org.opencontainers.image.{label}"):
            yield f"the image has no label {label}"
    if config.get("User") != f"{USER}:{USER}":
        yield f"the image runs as {config.get('User')!r}"
    if config.get("StopSignal") != "SIGTERM" or not config.get("Healthcheck"):
        yield "the image has no health check, or another signal to stop by"


# What a container's runtime does around the program: namespaces of its own, the root read-only, one place to write.
# It ends in the program itself, so that this is process 1 there, as in a container.
START = r"""
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/lib/credit"
mkdir -p "$1/proc" "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs -o size=64k,mode=755 tmpfs "$1/dev"
for device in null zero random urandom; do : >"$1/dev/$device"; mount --bind "/dev/$device" "$1/dev/$device"; done
mount -o remount,bind,ro "$1"
if touch "$1/tmp/probe" 2>/dev/null; then echo 'the root is not read-only' >&2; exit 90; fi
ip link set lo up
root=$1; shift 2
exec setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid chroot --userspec=65532:65532 --groups= "$root" "$@"
"""


def inside(pid, environment, *command):
    """Runs something in the namespaces and the root of that process, as its user."""
    words = ["nsenter", "--target", pid, "--mount", "--net", "--pid", "--root", "--wd=/", "--setuid", USER, "--setgid", USER, *command]
    return subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, timeout=PATIENCE)


def child(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def is_server(pid):
    try:
        return pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name == "credit-server"
    except OSError:
        return False


def start(name, config):
    """The faults of its first minute: start, health, stop."""
    container = buildah("from", "--signature-policy", HOME / "policy.json", "--pull-never", name).strip()
    running = None
    # Not below target/: another user cannot go through every directory that leads there.
    with tempfile.TemporaryDirectory() as work:
        try:
            root = buildah("mount", container).strip()
            data, log = pathlib.Path(work, "data"), pathlib.Path(work, "log")
            pathlib.Path(work).chmod(0o755)
            data.mkdir()
            os.chown(data, USER, USER)
            shutil.copy(ROOT / "deploy/compose/config/minimal.toml", data / "credit.toml")
            (data / "credit.toml").chmod(0o444)
            environment = dict(entry.split("=", 1) for entry in config["Env"]) | {"CREDIT_CONFIG": "/var/lib/credit/credit.toml"}
            # `setpriv`, `mount` and `ip` are found by the image's path, if by none of ours.
            environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
            words = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", START, "sh", root, data]
            with log.open("w") as out:
                running = subprocess.Popen([str(word) for word in [*words, *config["Entrypoint"]]], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            yield from lifetime(running, config, environment)
            if running.returncode:
                yield log.read_text()[-3000:]
        finally:
            if running and running.poll() is None:
                running.kill()
                running.wait()
            buildah("rm", container)


def lifetime(running, config, environment):
    kind, *command = config["Healthcheck"]["Test"]
    if kind != "CMD":
        yield f"the health check is {kind}, and there is no shell"
        return
    end, pid, health = time.monotonic() + PATIENCE, None, None
    while time.monotonic() < end and running.poll() is None:
        pid = child(running.pid)
        if pid and is_server(pid):
            health = inside(pid, environment, *command)
            if health.returncode == 0:
                break
        time.sleep(0.3)
    if not health or health.returncode:
        yield f"the health check does not succeed: {health.stdout + health.stderr if health else 'the program does not run'}"
        running.terminate()
        running.wait(timeout=PATIENCE)
        running.returncode = running.returncode or 1
        return
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    if set(status["Uid"].split()) != {str(USER)} or set(status["Gid"].split()) != {str(USER)}:
        yield f"it runs as {status['Uid']} and {status['Gid']}"
    if int(status["CapEff"], 16):
        yield f"it has capabilities: {status['CapEff']}"
    if status["NSpid"].split()[-1] != "1":
        yield "it is not process 1 of its container"
    os.kill(pid, getattr(signal, config["StopSignal"]))
    code = running.wait(timeout=PATIENCE)
    if code:
        yield f"it ends with {code} at {config['StopSignal']}"


def size(name):
    """All files of an image, in bytes."""
    container = buildah("from", "--signature-policy", HOME / "policy.json", "--pull-never", name).strip()
    try:
        root = pathlib.Path(buildah("mount", container).strip())
        return sum(file.lstat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    finally:
        buildah("rm", container)


def faults(server, full=False):
    """Sentences; none is good. The size is told, and asked to be within its goal if the program is a release."""
    if os.geteuid():
        yield "an image is built and started by root only, for it takes chroots and namespaces: run this as root"
        return
    HOME.mkdir(parents=True, exist_ok=True)
    name = "localhost/credit-server:check"
    try:
        runtime_base()
        if full:
            build_base()
            build_full(name)
        else:
            build(server, name)
        config = settings(name)
        yield from described(config)
        yield from start(name, config)
        bytes_ = size(name) - size(argument("RUNTIME_IMAGE"))
        released = full or "release" in pathlib.Path(server).parts
        print(f"     the image is {bytes_ / (1 << 20):.1f} MiB without its base{'' if released else ', of an unoptimised build'}", flush=True)
        if released and bytes_ > GOAL:
            yield f"the image is larger than {GOAL >> 20} MiB without its base"
    except Fault as fault:
        yield str(fault)
    finally:
        tidy()


def tidy():
    """Every layer is a whole copy with this driver: what stays is the bases."""
    keep = {argument("RUNTIME_IMAGE"), argument("RUST_IMAGE")}
    for image in json.loads(buildah("images", "--all", "--json")):
        if not keep & set(image.get("names") or []):
            subprocess.run(["buildah", "--root", HOME / "storage", "--runroot", HOME / "run", "--storage-driver", "vfs", "rmi", "--force", image["id"]], capture_output=True, check=False)


def main():
    full = sys.argv[1:] == ["full"]
    server = os.environ.get("CREDIT_SERVER_BIN", str(ROOT / "target/debug/credit-server"))
    began = time.monotonic()
    found = list(faults(server, full))
    for fault in found:
        print(f"image: {fault}")
    print(f"image: {'FAILED' if found else 'good'}, {time.monotonic() - began:.1f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
