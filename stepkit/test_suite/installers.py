"""Choose what installs the packages of a test repository (poetry, uv or pip), and run it."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.system import atomic_files
from stepkit.system.retry import retrying
from stepkit.test_suite import pip, poetry, pyproject, uv, venv

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def prepare(
    choice: Choice,
    checkout: Path,
    environment: Path,
    *,
    extra_packages: Sequence[str],
    timeout: float,
    attempts: int,
) -> tuple[Path, Choice]:
    """Return an interpreter that has the packages, and the choice that installed them.

    ``timeout`` (s) is for each command. An environment that was made from the same files before
    is used again. Where poetry was chosen but cannot install, pip or uv installs the packages of
    the same lock by hash; a lock that does not fit pyproject.toml is an error all the same.
    """
    if choice.installer == "none":
        return Path(sys.executable), choice
    makers = [choice]
    if choice.instead:
        reason = f"{choice.reason}; {choice.instead}, by its hashes, made the environment before"
        makers.append(Choice(installer=choice.instead, source="poetry.lock", reason=reason))
    if not pyproject.refers_elsewhere(checkout, extra_packages):
        for maker in makers:
            if venv.is_made_from(environment, _digest(maker, checkout, extra_packages)):
                logger.info("the test environment %s is up to date", environment)
                return venv.python_in(environment), maker
    if choice.installer == "poetry":
        poetry.check_lock(checkout, environment, timeout=timeout)
    used = choice
    try:
        _install(choice, checkout, environment, extra_packages, timeout=timeout, attempts=attempts)
    except StepError as error:
        if choice.instead is None or error.reason in {Reason.CHECKSUM, Reason.DISK_FULL}:
            raise
        logger.warning("%s; %s installs what is locked instead", error, choice.instead)
        reason = f"{choice.reason}; {choice.instead}, by its hashes, because {error}"
        used = Choice(installer=choice.instead, source="poetry.lock", reason=reason)
    if used is not choice:
        _install(used, checkout, environment, extra_packages, timeout=timeout, attempts=attempts)
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


def _install(
    choice: Choice,
    checkout: Path,
    environment: Path,
    extra_packages: Sequence[str],
    *,
    timeout: float,
    attempts: int,
) -> None:
    logger.info("installing into %s with %s", environment, choice.installer)
    retrying(attempts)(_try_to_install, choice, checkout, environment, extra_packages, timeout)
    venv.finish(environment, _digest(choice, checkout, extra_packages))


def _try_to_install(
    choice: Choice,
    checkout: Path,
    environment: Path,
    extra_packages: Sequence[str],
    timeout: float,
) -> None:
    with_pip = choice.installer == "pip" or (
        choice.installer == "poetry" and bool(extra_packages) and pip.available()
    )
    venv.make(environment, with_pip=with_pip, timeout=timeout)
    install = pip.install if with_pip else uv.install
    if choice.installer == "poetry":
        poetry.install(checkout, environment, timeout=timeout)
    elif choice.source == "uv.lock":
        project = pyproject.read(checkout)
        groups, extras = pyproject.test_groups(project), pyproject.test_extras(project)
        uv.install_locked(checkout, environment, groups=groups, extras=extras, timeout=timeout)
    else:
        with TemporaryDirectory(prefix="stepkit-requirements-") as scratch:
            arguments = _requirement_arguments(choice, checkout, Path(scratch, "requirements.txt"))
            if arguments:
                install(checkout, environment, arguments, timeout=timeout)
    if extra_packages:
        install(checkout, environment, extra_packages, timeout=timeout)


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


def _digest(choice: Choice, checkout: Path, extra_packages: Sequence[str]) -> str:
    content = {path.name: atomic_files.sha256(path) for path in pyproject.described_by(checkout)}
    made_from = [choice.installer, choice.source, sys.version, sys.base_prefix, content]
    return hashlib.sha256(json.dumps([*made_from, *extra_packages]).encode()).hexdigest()
