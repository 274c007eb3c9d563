"""Build the images: `make images`, or `python -m images.build gpu cpu notebook`.

    make images IMAGES_ARGS="--base NAME:TAG@sha256:... gpu notebook"
    make images IMAGES_ARGS="--name registry.example.com/team/stepkit --push"

Needs buildah, podman or docker, but no daemon. The settings of pip on this machine (an index, a
certificate) reach the build as secrets, so that no layer holds them. With --push the images go to
their registry when all are built, and their name and digests into stepkit/tekton/images.toml.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from images import push
from stepkit.tekton import image_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
KINDS: Final = {
    "gpu": "Containerfile",
    "cpu": "Containerfile.cpu",
    "notebook": "Containerfile.notebook",
}
BUILDERS: Final = ("buildah", "podman", "docker")
_PIP_FILES: Final = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_CERTIFICATES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def main(argv: Sequence[str] | None = None) -> int:
    """Build the images, one after the other; return the first exit code that is not 0."""
    arguments = _arguments(argv)
    builder = arguments.builder or next(filter(shutil.which, BUILDERS), None)
    if builder is None:
        print("images: none of buildah, podman, docker is installed", file=sys.stderr)
        return 2
    facts = build_facts()
    kinds = arguments.kinds or [*KINDS]
    with TemporaryDirectory(prefix="stepkit-images-") as directory:
        secrets = pip_secrets(os.environ, Path(directory))
        for kind in kinds:
            own = [*arguments.builder_args, *secrets]
            line = command(builder, kind, name=arguments.name, facts=facts, own=own,
                           base=getattr(arguments, f"{kind}_base", None))  # fmt: skip
            print(f"$ {shlex.join(line)}", flush=True)
            if code := subprocess.run(line, check=False, cwd=ROOT).returncode:  # noqa: S603
                return code
    if arguments.push:
        version = facts["VERSION"]
        tags = {kind: f"{arguments.name}:{version}{image_names.SUFFIXES[kind]}" for kind in kinds}
        push.push(builder, arguments.name, tags, ROOT / "stepkit/tekton/images.toml")
    return 0


def command(
    builder: str,
    kind: str,
    *,
    name: str,
    facts: Mapping[str, str],
    own: Sequence[str] = (),
    base: str | None = None,
) -> list[str]:
    """Return the command line that builds one image; ``own`` are further flags of the builder."""
    if kind == "notebook":
        base = base or f"{name}:{facts['VERSION']}"
    given = {**({} if kind == "notebook" else facts), **({"BASE": base} if base else {})}
    line = [builder, "build", f"--file=images/{KINDS[kind]}"]
    line.append(f"--tag={name}:{facts['VERSION']}{image_names.SUFFIXES[kind]}")
    line += [f"--build-arg={key}={value}" for key, value in given.items()]
    # Not every release of buildah sees that a build argument or a mounted stage has changed.
    line.append("--no-cache" if builder == "docker" else "--layers=false")
    return [*line, *own, "."]


def build_facts() -> dict[str, str]:
    """Return the version, the commit (with `-dirty` if files differ from it) and its time."""
    text = (ROOT / "stepkit/__init__.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', text)
    assert version
    commit = _git("rev-parse", "HEAD")
    if commit and _git("status", "--porcelain", "--", "stepkit", "tasks", "images", "uv.lock"):
        commit += "-dirty"
    seconds = int(_git("show", "--no-patch", "--format=%ct", "HEAD") or 0)
    created = datetime.fromtimestamp(seconds, UTC).isoformat()
    return {"VERSION": version[1], "COMMIT": commit, "CREATED": created}


def pip_secrets(environment: Mapping[str, str], directory: Path) -> list[str]:
    """Write pip's settings of this machine into ``directory``; return the flags that mount them.

    Indexes and files that are paths on this machine are left out: a build cannot see them.
    """
    found = configparser.ConfigParser(interpolation=None)
    files = [environment.get("PIP_CONFIG_FILE", ""), *_PIP_FILES]
    found.read([Path(name).expanduser() for name in reversed(files) if name])
    settings = {key: found.get("global", key) for key in found.options("global")} if (
        found.has_section("global")) else {}  # fmt: skip
    for key in ("index-url", "extra-index-url", "trusted-host", "proxy"):
        if value := environment.get(f"PIP_{key.upper().replace('-', '_')}"):
            settings[key] = value
    settings = {key: value for key, value in settings.items() if _portable(value)}
    certificate = settings.pop("cert", None)
    certificate = next(filter(None, map(environment.get, _CERTIFICATES)), certificate)
    flags = []
    if certificate and Path(certificate).is_file():
        settings["cert"] = "/run/secrets/ca.crt"
        flags.append(f"--secret=id=ca.crt,src={certificate}")
    if settings:
        lines = ["[global]", *(f"{key} = {' '.join(settings[key].split())}" for key in settings)]
        path = directory / "pip.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        flags.append(f"--secret=id=pip.conf,src={path}")
    return flags


def _portable(value: str) -> bool:
    return not any(
        part.startswith("file:") or Path(part).is_dir() for part in value.replace(",", " ").split()
    )


def _git(*arguments: str) -> str:
    """Return what git prints, or "" outside a git repository."""
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m images.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all of them")
    parser.add_argument("--base", dest="gpu_base", metavar="IMAGE", help="RAPIDS notebooks image")
    parser.add_argument("--cpu-base", metavar="IMAGE", help="Python image for the CPU image")
    parser.add_argument("--notebook-base", metavar="IMAGE", help="image for the notebooks' layer")
    parser.add_argument("--name", default="localhost/stepkit", help="default: %(default)s")
    parser.add_argument("--push", action="store_true", help="push them, and write their digests")
    parser.add_argument("--builder", choices=BUILDERS, help="default: the first that is there")
    parser.add_argument(
        "--builder-args", type=shlex.split, default=[], metavar="TEXT", help="more of its flags"
    )
    arguments = parser.parse_args(argv)
    if wrong := set(arguments.kinds) - KINDS.keys():
        parser.error(f"unknown image {', '.join(sorted(wrong))}: choose from {', '.join(KINDS)}")
    if arguments.push and arguments.name.startswith("localhost/"):
        parser.error("--push needs --name REGISTRY/.../stepkit")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
