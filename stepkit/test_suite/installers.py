"""Choose what installs the packages of a test repository (poetry, uv or pip), and run it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.system import atomic_files
from stepkit.system.retry import retrying
from stepkit.test_suite import add_plugins, pip, poetry, pyproject, uv, venv

logger = logging.getLogger(__name__)

Installer = Literal["poetry", "uv", "pip", "none"]
Source = Literal["poetry.lock", "uv.lock", "requirements", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What installs the packages, from which source, and why it was chosen."""

    installer: Installer
    source: Source
    reason: str
    instead: Installer | None = None  # installs the same locked packages if the installer cannot

    @property
    def origin(self) -> str:
        """Where the environment comes from, for the end of a sentence."""
        return "stepkit's own" if self.installer == "none" else f"made by {self.installer}"


def choose(wanted: str, checkout: Path, extra_packages: Sequence[str]) -> Choice:
    """Return the installer that is ``wanted``; for ``"auto"`` the one that the repository needs.

    Raises :class:`ConfigurationError` when the wanted one is not installed or cannot do it.
    """
    if wanted == "none":
        if extra_packages:
            raise ConfigurationError(
                "--installer none installs nothing: leave out --extra-packages, or choose pip"
            )
        return Choice(installer="none", source="nothing", reason="asked for")
    if wanted == "auto":
        return _choose_for_repository(checkout, extra_packages)
    if not {"poetry": poetry.program, "uv": uv.program, "pip": pip.available}[wanted]():
        remedy = "apt-get install python3-venv" if wanted == "pip" else f"pip install {wanted}"
        raise ConfigurationError(
            f"{wanted} was asked for, but is not installed: install it ({remedy}), "
            "or use --installer auto"
        )
    source = _source(checkout)
    if wanted == "poetry":
        return Choice(installer="poetry", source="poetry.lock", reason="asked for")
    if wanted == "uv":
        return Choice(installer="uv", source=source, reason="asked for")
    if source == "uv.lock":
        source = "requirements"
    return Choice(installer="pip", source=source, reason="asked for")


@dataclass(frozen=True, kw_only=True)
class Packages:
    """What an environment is made from, ``plugins`` of pytest included.

    ``timeout`` (s) is for each command that installs.
    """

    choice: Choice
    checkout: Path
    extra: Sequence[str] = ()
    plugins: Sequence[str] = ()
    timeout: float = 900.0
    attempts: int = 1

    @property
    def makers(self) -> list[Choice]:
        """The choice, and what installs the same packages if it cannot."""
        choice = self.choice
        if not choice.instead:
            return [choice]
        reason = f"{choice.reason}; {choice.instead}, by its hashes, made the environment before"
        return [choice, Choice(installer=choice.instead, source="poetry.lock", reason=reason)]

    def cache_key(self, cache: Path) -> str | None:
        """Return a digest of all that the environment is made from, None if that cannot be known.

        It holds for one path of ``cache``, because scripts in an environment name its path. Where
        no lock says which versions to install, they are chosen anew each day.
        """
        if pyproject.refers_elsewhere(self.checkout, self.extra):
            return None
        locked = self.choice.source in {"poetry.lock", "uv.lock"}
        locked = locked and all("==" in package for package in self.extra)
        day = "" if locked else f"{datetime.now(UTC):%Y-%m-%d}"
        digests = [self.digest(maker) for maker in self.makers]
        return hashlib.sha256(
            json.dumps([*digests, os.path.realpath(cache), day]).encode()
        ).hexdigest()

    def digest(self, maker: Choice) -> str:
        """Return a digest of the files, packages and options that ``maker`` installs from."""
        files = pyproject.described_by(self.checkout)
        content = {path.name: atomic_files.sha256(path) for path in files}
        python = [sys.version, sys.base_prefix, platform.machine(), platform.libc_ver()]
        plugins = [*self.plugins, add_plugins.VERSIONS.read_text() if self.plugins else ""]
        made_from = [maker.installer, maker.source, *python, content, list(self.extra), plugins]
        made_from += venv.index_variables()
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def prepare(packages: Packages, environment: Path) -> tuple[Path, Choice]:
    """Return an interpreter that has the packages, and the choice that installed them.

    An environment that was made from the same files before is used again. Where poetry was chosen
    but cannot install, pip or uv installs the packages of the same lock by hash; a lock that does
    not fit pyproject.toml is an error all the same.
    """
    choice, checkout = packages.choice, packages.checkout
    if choice.installer == "none":
        return Path(sys.executable), choice
    if not pyproject.refers_elsewhere(checkout, packages.extra):
        for maker in packages.makers:
            if venv.is_made_from(environment, packages.digest(maker)):
                logger.info("the test environment %s is up to date", environment)
                return venv.python_in(environment), maker
    if choice.installer == "poetry":
        poetry.check_lock(checkout, environment, timeout=packages.timeout)
    used = choice
    try:
        _install(choice, packages, environment)
    except StepError as error:
        if choice.instead is None or error.reason in {Reason.CHECKSUM, Reason.DISK_FULL}:
            raise
        logger.warning("%s; %s installs what is locked instead", error, choice.instead)
        reason = f"{choice.reason}; {choice.instead}, by its hashes, because {error}"
        used = Choice(installer=choice.instead, source="poetry.lock", reason=reason)
    if used is not choice:
        _install(used, packages, environment)
    return venv.python_in(environment), used


def _choose_for_repository(checkout: Path, extra_packages: Sequence[str]) -> Choice:
    source = _source(checkout)
    if source == "poetry.lock":
        return _choose_for_poetry(checkout)
    if source == "uv.lock" and uv.program():
        return Choice(installer="uv", source=source, reason="the repository has a uv.lock")
    if source == "nothing" and not extra_packages:
        return Choice(
            installer="none",
            source=source,
            reason="the repository names no packages: its tests run beside stepkit",
        )
    named = ["pyproject.toml"] if pyproject.requirements(pyproject.read(checkout)) else []
    named += [path.name for path in pyproject.requirement_files(checkout)]
    why = {
        "uv.lock": "the repository has a uv.lock, but uv is not installed: "
        "versions are NOT the locked ones",
        "requirements": f"the repository has {' and '.join(named)}",
        "nothing": "the repository names no packages, but --extra-packages does",
    }[source]
    source = "requirements" if source == "uv.lock" else source
    if pip.available():
        return Choice(installer="pip", source=source, reason=why)
    if uv.program():
        why += "; uv, because this Python cannot make an environment with pip"
        return Choice(installer="uv", source=source, reason=why)
    raise ConfigurationError(
        f"{why}, but there is neither pip nor uv to install them: "
        "install uv or Debian's python3-venv, or choose --installer none"
    )


def _choose_for_poetry(checkout: Path) -> Choice:
    has_lock = (checkout / "poetry.lock").exists()
    what = "a poetry.lock" if has_lock else "[tool.poetry] in pyproject.toml"
    by_hash: Installer = "pip" if pip.available() or not uv.program() else "uv"
    if poetry.program():
        reason = f"the repository has {what}"
        return Choice(installer="poetry", source="poetry.lock", reason=reason, instead=by_hash)
    if not has_lock:
        raise ConfigurationError(
            f"the repository has {what} and no lock, and poetry is not installed: "
            "install poetry, or commit a poetry.lock"
        )
    return Choice(
        installer=by_hash,
        source="poetry.lock",
        reason=f"the repository has {what}, but poetry is not installed: "
        f"{by_hash} installs what is locked, by hash",
    )


def _source(checkout: Path) -> Source:
    project = pyproject.read(checkout)
    if (checkout / "poetry.lock").exists():
        return "poetry.lock"
    if (checkout / "uv.lock").exists():
        return "uv.lock"
    if "poetry" in project.get("tool", {}):
        return "poetry.lock"
    named = pyproject.requirements(project) or pyproject.requirement_files(checkout)
    return "requirements" if named else "nothing"


def _install(maker: Choice, packages: Packages, environment: Path) -> None:
    logger.info("installing into %s with %s", environment, maker.installer)
    retrying(packages.attempts)(_try_to_install, maker, packages, environment)
    venv.finish(environment, packages.digest(maker))


def _try_to_install(maker: Choice, packages: Packages, environment: Path) -> None:
    checkout, timeout = packages.checkout, packages.timeout
    on_top = bool(packages.extra) or (bool(packages.plugins) and not uv.program())
    with_pip = maker.installer == "pip" or (
        maker.installer == "poetry" and on_top and pip.available()
    )
    venv.make(environment, with_pip=with_pip, timeout=timeout)
    install = pip.install if with_pip else uv.install
    if maker.installer == "poetry":
        poetry.install(checkout, environment, timeout=timeout)
    elif maker.source == "uv.lock":
        project = pyproject.read(checkout)
        groups, extras = pyproject.test_groups(project), pyproject.test_extras(project)
        uv.install_locked(checkout, environment, groups=groups, extras=extras, timeout=timeout)
    else:
        with TemporaryDirectory(prefix="stepkit-requirements-") as scratch:
            arguments = _requirement_arguments(maker, checkout, Path(scratch, "requirements.txt"))
            if arguments:
                install(checkout, environment, arguments, timeout=timeout)
    if packages.extra:
        install(checkout, environment, packages.extra, timeout=timeout)
    if packages.plugins and (with_pip or uv.program()):
        add_plugins.add_missing(
            packages.plugins, checkout, environment, install=install, timeout=timeout
        )


def _requirement_arguments(choice: Choice, checkout: Path, scratch: Path) -> list[str]:
    if choice.source == "poetry.lock":
        atomic_files.write_atomically(
            scratch, "\n".join(pyproject.locked_by_poetry(checkout)) + "\n"
        )
        return ["--require-hashes", "--no-deps", "-r", str(scratch)]
    listed = pyproject.requirements(pyproject.read(checkout))
    arguments = [f"--requirement={path}" for path in pyproject.requirement_files(checkout)]
    if listed:
        atomic_files.write_atomically(scratch, "\n".join(listed) + "\n")
        arguments.append(f"--requirement={scratch}")
    return arguments
