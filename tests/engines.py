"""Run the tests that need an engine on a newer Docker, with either image store, and on podman.

    python tests/engines.py [docker | containerd | namespace | podman] …

Makes a root file system from Debian's newest suite in ``.engines`` (1 GB, kept), and runs each
engine inside it. Needs root on a Debian with mmdebstrap, and iptables. ``namespace`` is Docker in a
network of its own, whose loopback address is not this machine's: there the local stack must refuse
to start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SYSTEM: Final = ROOT / ".engines" / "sid"
PACKAGES: Final = "docker.io,docker-cli,iptables,ca-certificates,podman,runc,netavark"
BRIDGE: Final = "covalentlambda0"
SUBNET: Final = "172.30.213"
START_TIMEOUT_S: Final = 60
TESTS: Final = ("tests/contract/test_image_store.py", "tests/integration/test_images.py")


def make_system() -> None:
    """Make the root file system, unless it is there."""
    if (SYSTEM / "usr/bin/dockerd").exists() or (SYSTEM / "usr/sbin/dockerd").exists():
        return
    SYSTEM.parent.mkdir(exist_ok=True)
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}"]
    command += ['--aptopt=Acquire::Check-Valid-Until "false"', "sid", str(SYSTEM)]
    subprocess.run(command, check=True)


@contextmanager
def network() -> Iterator[None]:
    """Have a bridge for the engine's containers, which reaches what this machine reaches."""
    masquerade = ["POSTROUTING", "-s", f"{SUBNET}.0/24", "!", "-o", BRIDGE, "-j", "MASQUERADE"]
    for line in (
        f"ip link add {BRIDGE} type bridge",
        f"ip addr add {SUBNET}.1/24 dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        subprocess.run(line.split(), check=True)
    subprocess.run(["iptables", "-t", "nat", "-A", *masquerade], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-t", "nat", "-D", *masquerade], check=False)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False)


@contextmanager
def inside(folder: Path, program: str, *, own_network: bool = False) -> Iterator[None]:
    """Run a shell line in the root file system while the context is open.

    A plain chroot will not do: what starts containers asks for a root that is a mount.
    """
    enter = (
        f"mount --bind {SYSTEM} {SYSTEM}; mkdir -p {SYSTEM}/old {SYSTEM}{folder}; "
        f"mount --bind {folder} {SYSTEM}{folder}; mount --rbind /dev {SYSTEM}/dev; "
        f"mount -t proc proc {SYSTEM}/proc; mount -t sysfs sys {SYSTEM}/sys; "
        f"mount --rbind /sys/fs/cgroup {SYSTEM}/sys/fs/cgroup; mount -t tmpfs tmpfs {SYSTEM}/run; "
        f"cp /etc/resolv.conf {SYSTEM}/etc/; cd {SYSTEM}; pivot_root . old; "
        f"umount -l /old; {program}"
    )
    flags = ["--mount", *(["--net"] if own_network else [])]
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", *flags, "sh", "-ec", enter], stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def dockerd(folder: Path, *, containerd: bool, own_network: bool) -> str:
    bridge = "--bridge none" if own_network else f"--bridge {BRIDGE}"
    store = f"--feature containerd-snapshotter={'true' if containerd else 'false'}"
    return (
        f"exec dockerd {bridge} --iptables=false --ip6tables=false {store} "
        f"--data-root {folder}/data --exec-root {folder}/exec --pidfile {folder}/pid "
        f"-H unix://{folder}/engine.sock"
    )


def podman(folder: Path) -> str:
    return (
        f"exec podman --root {folder}/data --runroot {folder}/exec --runtime runc "
        f"--cgroup-manager cgroupfs system service --time 0 unix://{folder}/engine.sock"
    )


def wait_for_engine(socket: Path, log: Path) -> None:
    import docker

    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with contextlib.closing(docker.DockerClient(base_url=f"unix://{socket}")) as client:
                found = client.version()
                print(f"   {found['Version']} (API {found['ApiVersion']})", flush=True)
                return
        except (docker.errors.DockerException, OSError):
            if time.monotonic() > deadline:
                raise SystemExit(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.5)


def test(name: str) -> bool:
    """Run the tests on one engine; return whether they passed."""
    own_network = name == "namespace"
    with ExitStack() as cleanup:
        folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp"))
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        if not own_network and name != "podman":
            cleanup.enter_context(network())
        line = (
            podman(folder)
            if name == "podman"
            else dockerd(folder, containerd=name == "containerd", own_network=own_network)
        )
        cleanup.enter_context(inside(folder, line, own_network=own_network))
        wait_for_engine(folder / "engine.sock", folder / "engine.log")
        environment = os.environ | {"DOCKER_HOST": f"unix://{folder}/engine.sock"}
        wanted = ["tests/integration/test_foreign_loopback.py"] if own_network else list(TESTS[:1])
        if name in ("docker", "containerd"):
            wanted = list(TESTS)
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "-k", "not fake", *wanted]
        environment["COVALENT_LAMBDA_ENGINE"] = name
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def main(names: list[str]) -> int:
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        print("skipped: this needs root and mmdebstrap")
        return 0
    make_system()
    results = {}
    for name in names or ["docker", "containerd", "namespace", "podman"]:
        print(f"== {name}", flush=True)
        results[name] = test(name)
    for name, passed in results.items():
        print(f"  {name:10} {'passed' if passed else 'FAILED'}")
    return int(not all(results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
