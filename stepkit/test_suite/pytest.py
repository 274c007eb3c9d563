"""Run pytest by the interpreter that was chosen for the tests, never by whichever is on PATH."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files, process
from stepkit.test_suite import record_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepkit.system.process import Completed
    from stepkit.test_suite.record_outcomes import Seen

logger = logging.getLogger(__name__)

PLUGINS: Final = {"pytest": "pytest", "pytest_cov": "pytest-cov", "pytest_html": "pytest-html"}

_PROBE_SECONDS: Final = 120.0  # a cold, slow disk may need a minute to import pytest

# Variables that would change which tests run, or where their results go.
_STEERING: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
                    "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTHONSAFEPATH")  # fmt: skip
_STEERING_PREFIXES: Final = ("COVERAGE_", "COV_CORE_", "PYTEST_XDIST_")

_PROBE: Final = """
import importlib, json, sys
trouble = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        trouble[name] = f"{type(error).__name__}: {error}"
print("stepkit-probe " + json.dumps({"prefix": sys.prefix, "trouble": trouble}))
"""


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Where one run of pytest leaves what it found; all paths are absolute."""

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
        """Remove what an earlier run left, so that nothing of it can pass for this run's."""
        for path in (self.log, self.junit, self.coverage, self.html):
            with atomic_files.explaining(f"cannot remove the earlier {path}"):
                path.unlink(missing_ok=True)


def environment(python: Path) -> dict[str, str]:
    """Return the variables that tests run by ``python`` see: ours, without what steers pytest."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in _STEERING and not name.startswith(_STEERING_PREFIXES)
    }
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}  # the checkout stays clean
    if python == Path(sys.executable):
        return env
    for name in ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        env.pop(name, None)
    env["VIRTUAL_ENV"] = str(python.parent.parent)
    env["PATH"] = f"{python.parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    return env


def check(python: Path, installer: str) -> None:
    """Make sure that ``python`` runs in its own environment and has pytest and the plugins.

    Raises :class:`ConfigurationError` that names what is missing and what to do.
    """
    with TemporaryDirectory(prefix="stepkit-pytest-") as empty:  # no file of the checkout shadows
        done = process.run(
            [python, "-P", "-c", _PROBE, *PLUGINS],
            cwd=Path(empty),
            env=environment(python),
            timeout=_PROBE_SECONDS,
        )
    said = re.search(r"^stepkit-probe (.*)$", done.output, re.MULTILINE)
    if done.code or not said:
        last = (done.output.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(f"the tests' interpreter {python} does not work: {last}")
    found = json.loads(said[1])
    wanted = sys.prefix if python == Path(sys.executable) else python.parent.parent
    if os.path.realpath(found["prefix"]) != os.path.realpath(wanted):
        raise ConfigurationError(
            f"{python} runs in {found['prefix']} instead of {wanted}: remove {wanted} and run again"
        )
    if found["trouble"]:
        raise _lacking(found["trouble"], python, installer)


def _lacking(trouble: Mapping[str, str], python: Path, installer: str) -> ConfigurationError:
    names = [PLUGINS[module] for module in trouble]
    remedy = f"add {'it' if len(names) == 1 else 'them'} to the repository's test dependencies"
    if installer == "none":
        remedy = f"install {' '.join(names)} beside stepkit, or choose another --installer"
    else:
        remedy += f", or pass --extra-packages {' '.join(names)}"
    return ConfigurationError(
        f"{', '.join(names)} cannot be imported in the tests' environment "
        f"({next(iter(trouble.values()))}; {python}): {remedy}",
        reason=Reason.NOT_FOUND,
    )


def run(
    python: Path,
    checkout: Path,
    reports: Reports,
    *,
    marker: str,
    arguments: Sequence[str],
    timeout: float,
) -> tuple[Completed, Seen | None]:
    """Run the tests of ``checkout`` that carry ``marker`` (all, if empty), within ``timeout`` s.

    What pytest prints goes to ``reports.log`` and to our log, line by line. Returned with it is
    which tests ran, None if pytest did not end by itself.
    """
    with (
        atomic_files.explaining(f"cannot write {reports.log}"),
        reports.log.open("w", encoding="utf-8", errors="replace", buffering=1) as log,
        TemporaryDirectory(prefix="stepkit-pytest-") as scratch,
    ):
        record_outcomes.write(Path(scratch))
        lost: list[OSError] = []  # a full disk must not stop the tests, which print on and on

        def keep(line: str) -> None:
            logger.info("pytest: %s", line)
            try:
                log.write(f"{line}\n")
            except ValueError:  # closed: a process that outlived pytest still prints
                return
            except OSError as error:
                if not lost:
                    logger.warning("%s is not complete: %s", reports.log, error.strerror)
                lost.append(error)

        done = process.run(
            [python, "-m", "pytest", *_arguments(checkout, reports, marker, arguments)],
            cwd=checkout,
            env=_with_scratch(environment(python), scratch),
            timeout=timeout,
            on_line=keep,
        )
        return done, record_outcomes.read(Path(scratch))


def _with_scratch(env: dict[str, str], scratch: str) -> dict[str, str]:
    paths = [scratch, *filter(None, [env.get("PYTHONPATH")])]
    coverage = str(Path(scratch, "coverage"))
    return env | {"COVERAGE_FILE": coverage, "PYTHONPATH": os.pathsep.join(paths)}


def _arguments(
    checkout: Path, reports: Reports, marker: str, arguments: Sequence[str]
) -> Iterator[str]:
    """Yield ours last where the last one wins, so that the reports come to be where we look."""
    if not _configured(checkout):  # else pytest takes a configuration of the directories above
        yield from ("-c", os.devnull, f"--rootdir={checkout}")
    yield "-v"
    if marker:
        yield from ("-m", marker)
    yield from arguments
    yield from ("-p", record_outcomes.PLUGIN, "-p", "no:cacheprovider", "--color=no")
    yield from ("-o", "junit_family=xunit1", f"--junitxml={reports.junit}")  # 1 names the files
    yield from ("--cov=.", f"--cov-report=xml:{reports.coverage}", "--cov-report=term")
    yield from (f"--html={reports.html}", "--self-contained-html")


def _configured(checkout: Path) -> bool:
    sections = {
        "pyproject.toml": "[tool.pytest",
        "tox.ini": "[pytest]",
        "setup.cfg": "[tool:pytest",
    }
    if any(
        (checkout / f"{dot}pytest.{kind}").exists() for dot in ("", ".") for kind in ("ini", "toml")
    ):
        return True
    for name, section in sections.items():
        with suppress(OSError):
            if section in (checkout / name).read_text(errors="replace"):
                return True
    return False


def undeclared_markers(output: str) -> list[str]:
    """Return the markers that pytest's output complains about, each once."""
    return list(dict.fromkeys(re.findall(r"Unknown pytest\.mark\.(\w+)", output)))


def declared_markers(python: Path, checkout: Path) -> list[str]:
    """Return the markers that the repository declares, pytest's own left out."""
    command = [str(python), "-m", "pytest", "--markers", "-p", "no:cacheprovider"]
    done = process.run(command, cwd=checkout, env=environment(python), timeout=_PROBE_SECONDS)
    names = re.findall(r"^@pytest\.mark\.(\w+)", done.output, re.MULTILINE)
    return [name for name in names if name not in _BUILT_IN]


_BUILT_IN: Final = frozenset(
    {"anyio", "asyncio", "filterwarnings", "no_cover", "parametrize", "skip", "skipif", "timeout",
     "tryfirst", "trylast", "usefixtures", "xdist_group", "xfail"}
)  # fmt: skip
