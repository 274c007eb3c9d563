"""Run pytest with the interpreter of the tests' environment, never with another one on PATH."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.system import atomic_files, process
from stepkit.test_suite import record_outcomes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from stepkit.system.process import Completed
    from stepkit.test_suite.record_outcomes import Recorded

logger = logging.getLogger(__name__)

PLUGINS: Final = {"pytest": "pytest", "pytest_cov": "pytest-cov", "pytest_html": "pytest-html"}
REPORTS: Final = {"--with-coverage": "pytest-cov", "--with-html": "pytest-html"}

_PROBE_SECONDS: Final = 120.0  # importing pytest from a slow disk may take a minute

# Variables that would change which tests run, what they assert, or where their results go.
_STEERING: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
                    "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTHONSAFEPATH",
                    "PYTHONOPTIMIZE")  # fmt: skip
_STEERING_PREFIXES: Final = ("COVERAGE_", "COV_CORE_", "PYTEST_XDIST_")

_BUILT_IN_MARKERS: Final = frozenset(
    {"anyio", "asyncio", "filterwarnings", "hypothesis", "no_cover", "parametrize", "skip",
     "skipif", "timeout", "tryfirst", "trylast", "usefixtures", "xdist_group", "xfail"}
)  # fmt: skip

# How pytest names the empty configuration that it gets here, as seen from the checkout.
_NO_CONFIGURATION: Final = re.compile(r"((?:config|ini)file: )\S*/dev/null")

_PROBE: Final = """
import importlib, json, sys
errors = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        errors[name] = f"{type(error).__name__}: {error}"
print("stepkit-probe " + json.dumps({"prefix": sys.prefix, "errors": errors}))
"""


def plugins(*, coverage: bool, html: bool) -> list[str]:
    """Return what of :data:`PLUGINS` is needed, for coverage and for an HTML page if wanted."""
    wanted = {"pytest-cov": coverage, "pytest-html": html}
    return [name for name in PLUGINS.values() if wanted.get(name, True)]


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The files that one run of pytest writes; all paths are absolute."""

    log: Path
    junit: Path
    coverage: Path
    html: Path

    @classmethod
    def within(cls, directory: Path, suffix: str) -> Reports:
        """Name the four files in ``directory``."""
        return cls(
            log=directory / "pytest_output.log",
            junit=directory / f"pytest_results{suffix}.xml",
            coverage=directory / f"coverage{suffix}.xml",
            html=directory / f"pytest_report{suffix}.html",
        )

    def clear(self) -> None:
        """Remove the files of an earlier run, so that they cannot be taken for this run's."""
        for path in (self.log, self.junit, self.coverage, self.html):
            with atomic_files.explaining(f"cannot remove the earlier {path}"):
                path.unlink(missing_ok=True)

    def mask(self) -> None:
        """Mask the secrets that a test printed in what pytest and its plugins wrote."""
        for path in filter(Path.is_file, (self.junit, self.html) if redaction.known() else ()):
            with suppress(OSError, UnicodeError):  # it is missing, or is read as broken later
                text = path.read_text(encoding="utf-8")
                if (masked := redaction.mask(text)) != text:
                    atomic_files.write_atomically(path, masked)


def environment(python: Path) -> dict[str, str]:
    """Return our variables for tests run by ``python``.

    Those that steer pytest are left out, and passwords that only installers of packages need.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in _STEERING
        and not name.startswith(_STEERING_PREFIXES)
        and not redaction.PASSWORD_OF_INDEX.fullmatch(name)
    }
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}  # the checkout stays clean
    if python == Path(sys.executable):
        return env
    for name in ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        env.pop(name, None)
    env["VIRTUAL_ENV"] = str(python.parent.parent)
    env["PATH"] = f"{python.parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    return env


def find_missing(python: Path, plugins: Collection[str]) -> list[str]:
    """Return which of ``plugins`` (of :data:`PLUGINS`) are not installed for ``python``.

    Raises a :class:`ConfigurationError` when ``python`` does not run in its own environment.
    """
    absent = "ModuleNotFoundError: No module named '{}'"
    errors = _import_plugins(python, plugins)
    return [PLUGINS[name] for name, error in errors.items() if error == absent.format(name)]


def check(python: Path, installer: str, plugins: Collection[str]) -> None:
    """Make sure that ``python`` runs in its own environment and has ``plugins``.

    Raises a :class:`ConfigurationError` that names what is missing and the remedy.
    """
    errors = _import_plugins(python, plugins)
    if not errors:
        return
    names = [PLUGINS[module] for module in errors]
    if installer == "none":
        remedy = f"install {' '.join(names)} beside stepkit, or choose another --installer"
    else:
        remedy = (
            f"add {'it' if len(names) == 1 else 'them'} to the repository's test "
            f"dependencies, or pass --extra-packages {' '.join(names)}"
        )
    without = [f"{flag} false" for flag, name in REPORTS.items() if name in names]
    if without and "pytest" not in names:
        remedy += f", or do without: {' '.join(without)}"
    raise ConfigurationError(
        f"{', '.join(names)} cannot be imported in the tests' environment "
        f"({next(iter(errors.values()))}; {python}): {remedy}",
        reason=Reason.NOT_FOUND,
    )


def _import_plugins(python: Path, plugins: Collection[str]) -> dict[str, str]:
    """Return the error of each module of ``plugins`` that ``python`` cannot import."""
    modules = [module for module, name in PLUGINS.items() if name in plugins]
    with (
        atomic_files.explaining("cannot make a temporary directory"),
        TemporaryDirectory(prefix="stepkit-pytest-") as empty,  # no file of the checkout shadows
    ):
        done = process.run(
            [python, "-P", "-c", _PROBE, *modules],
            cwd=Path(empty),
            env=environment(python),
            timeout=_PROBE_SECONDS,
        )
    answer = re.search(r"^stepkit-probe (.*)$", done.output, re.MULTILINE)
    if done.code or not answer:
        last = (done.output.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(f"the tests' interpreter {python} does not work: {last}")
    found = json.loads(answer[1])
    wanted = sys.prefix if python == Path(sys.executable) else python.parent.parent
    if os.path.realpath(found["prefix"]) != os.path.realpath(wanted):
        raise ConfigurationError(
            f"{python} runs in {found['prefix']} instead of {wanted}: remove {wanted} and run again"
        )
    errors: dict[str, str] = found["errors"]
    return errors


def run(
    python: Path,
    checkout: Path,
    reports: Reports,
    *,
    marker: str,
    arguments: Sequence[str],
    plugins: Collection[str],
    timeout: float,
) -> tuple[Completed, Recorded | None]:
    """Run the tests of ``checkout`` that carry ``marker`` (all, if empty), within ``timeout`` s.

    Of the reports, those are written whose plugins are among ``plugins``.
    What pytest prints goes to ``reports.log`` and to our log, line by line. The second value says
    which tests ran; it is None if pytest did not end normally.
    """
    with (
        atomic_files.explaining(f"cannot write {reports.log}"),
        reports.log.open("w", encoding="utf-8", errors="replace", buffering=1) as log,
        TemporaryDirectory(prefix="stepkit-pytest-") as scratch,
    ):
        record_outcomes.write(Path(scratch))
        failed_to_write = False  # a full disk does not stop the tests; it is logged once

        def keep(line: str) -> None:
            nonlocal failed_to_write
            line = redaction.mask(_NO_CONFIGURATION.sub(r"\1none", line))
            logger.info("pytest: %s", line)
            try:
                log.write(f"{line}\n")
            except ValueError:  # the log is closed: a process that outlived pytest still prints
                return
            except OSError as error:
                if not failed_to_write:
                    logger.warning("%s is not complete: %s", reports.log, error.strerror)
                failed_to_write = True

        env = environment(python)
        paths = [scratch, *filter(None, [env.get("PYTHONPATH")])]
        env["PYTHONPATH"] = os.pathsep.join(paths)
        env["COVERAGE_FILE"] = str(Path(scratch, "coverage"))
        chosen = [*(["-m", marker] if marker else []), *arguments]
        given = _arguments(checkout, reports, chosen, plugins)
        command = [str(python), "-m", "pytest", *given]
        try:
            done = process.run(command, cwd=checkout, env=env, timeout=timeout, on_line=keep)
        finally:
            reports.mask()
        # The limit is what a message names, not how long it took to end pytest after it.
        done = replace(done, seconds=min(done.seconds, timeout))
        return done, record_outcomes.read(Path(scratch))


def _arguments(
    checkout: Path, reports: Reports, chosen: Sequence[str], plugins: Collection[str]
) -> Iterator[str]:
    """Yield the arguments; ours come last where the last one wins, so that reports are found."""
    if not _has_configuration(checkout):  # pytest would search the directories above
        yield from ("-c", os.devnull, f"--rootdir={checkout}")
    yield "-v"
    yield from chosen
    yield from ("-p", record_outcomes.PLUGIN, "-p", "no:cacheprovider", "--color=no")
    # Notebooks as tests: another step runs them, and run-tests judges what that made.
    yield from ("-p", "no:stepkit", "-p", "no:stepkit.pytest_plugin")
    # The family xunit1 names each test's file, xunit2 does not.
    yield from ("-o", "junit_family=xunit1", f"--junitxml={reports.junit}")
    if "pytest-cov" in plugins:
        yield from ("--cov=.", f"--cov-report=xml:{reports.coverage}", "--cov-report=term")
    if "pytest-html" in plugins:
        yield from (f"--html={reports.html}", "--self-contained-html")


def _has_configuration(checkout: Path) -> bool:
    names = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")
    if any((checkout / name).exists() for name in names):
        return True
    sections = {
        "pyproject.toml": "[tool.pytest",
        "tox.ini": "[pytest]",
        "setup.cfg": "[tool:pytest",
    }
    for name, section in sections.items():
        with suppress(OSError):
            if section in (checkout / name).read_text(errors="replace"):
                return True
    return False


def undeclared_markers(output: str) -> list[str]:
    """Return the undeclared markers that pytest warned of in ``output``, each once."""
    return list(dict.fromkeys(re.findall(r"Unknown pytest\.mark\.(\w+)", output)))


def marker_hint(marker: str, python: Path, checkout: Path) -> str:
    """Return the end of a message about a marker of no test: the nearest one, or all declared."""
    command = [str(python), "-m", "pytest", "--markers", "-p", "no:cacheprovider"]
    done = process.run(command, cwd=checkout, env=environment(python), timeout=_PROBE_SECONDS)
    names = re.findall(r"^@pytest\.mark\.(\w+)", done.output, re.MULTILINE)
    if marker in names:
        return ": it is declared, but no test has it"
    return did_you_mean(marker, (name for name in names if name not in _BUILT_IN_MARKERS))
