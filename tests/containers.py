"""Containers for tests: podman's flags, images of a stand-in base, and what runs in them."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import commands

from images import build
from stepkit.tekton import image_names

ROOT = Path(__file__).parent.parent
STAND_IN = ROOT / "tests/images/stand_in"
NAME = "localhost/stepkit-test"
SUITE = "trixie"
# What a machine without systemd needs, and one that is itself a container.
BUILD_FLAGS = ("--isolation=chroot", "--ulimit=nofile=4096:4096")
RUN_FLAGS = ("--cgroups=no-conmon", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
PACKAGES = (  # what Debian's own images have, python:slim has on top, and RAPIDS' has
    *("base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "libc-bin"),
    *("passwd", "sed", "ca-certificates", "python3", "python3-venv", "git", "git-lfs"),
    *("libgomp1", "libstdc++6"),
)


def missing() -> str | None:
    """Name what these tests lack on this machine."""
    programs = [name for name in ("buildah", "podman", "mmdebstrap") if not shutil.which(name)]
    if programs:
        return f"there is no {', '.join(programs)} here"
    return None if os.geteuid() == 0 else "only root makes a base image with mmdebstrap"


def podman() -> list[str]:
    """Return the program with the runtime that asks least of the kernel."""
    return ["podman", "--runtime=runc"] if shutil.which("runc") else ["podman"]


def stand_in(kind: str, secrets: list[str]) -> str:
    """Return the name of a base image shaped like ``python`` or ``rapids``, made if need be."""
    recipe = b"".join(path.read_bytes() for path in sorted(STAND_IN.iterdir()))
    name = f"{NAME}-base-{kind}:{hashlib.sha256(recipe).hexdigest()[:12]}"
    if _exists(name):
        return name
    command = ["buildah", "build", *BUILD_FLAGS, *secrets, f"--build-arg=DEBIAN={debian()}"]
    checked([*command, f"--target={kind}", f"--tag={name}", STAND_IN])
    return name


def debian() -> str:
    """Return the name of an image of Debian's packages, none of whose scripts ran."""
    contents = repr((SUITE, PACKAGES)).encode()
    name = f"{NAME}-base-debian:{hashlib.sha256(contents).hexdigest()[:12]}"
    if not _exists(name):
        _unpack_debian(name)
    return name


def _exists(image: str) -> bool:
    return run([*podman(), "image", "exists", image]).returncode == 0


def _unpack_debian(name: str) -> None:
    base = checked(["buildah", "from", "scratch"]).strip()
    try:
        root = checked(["buildah", "mount", base]).strip()
        command = ["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory"]
        command += ["--quiet", f"--include={','.join(PACKAGES)}", "--skip=output/dev"]
        command.append('--customize-hook=rm -rf "$1"/usr/share/doc "$1"/usr/share/man')
        checked([*command, SUITE, root])
        checked(["buildah", "commit", "--quiet", base, name])
    finally:
        checked(["buildah", "rm", base])


def built(kind: str, base: str, secrets: list[str], *extra: str) -> str:
    """Build one of our images on ``base`` and return its name."""
    facts = build.build_facts()
    flags = [*BUILD_FLAGS, *secrets, *extra]
    command = build.command("buildah", kind, name=NAME, facts=facts, own=flags, base=base)
    checked(command)
    return f"{NAME}:{facts['VERSION']}{image_names.SUFFIXES[kind]}"


def run(
    command: Sequence[str | Path], *, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is for whoever reads the test's."""
    done = commands.run(*command, cwd=ROOT, env=env, errors="replace")
    sys.stderr.write(done.stderr)
    return done


def checked(command: Sequence[str | Path]) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = run(command)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return done.stdout
