"""A pytest plugin that records which tests were collected, which were run and which failed.

pytest's printed output can be imitated or switched off, a conftest can change its exit code and its
JUnit report, and neither shows that it stopped before the last test. The plugin is loaded from a
directory outside the checkout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN: Final = "stepkit_record_outcomes"

_MAX_STOPPED: Final = 200  # characters of what stopped pytest

# The tests' own Python runs it, in any version that pytest supports. The workers of pytest-xdist
# load it, too, but only the controlling process receives all reports and writes. The plugin's
# directory is taken out of PYTHONPATH so that subprocesses of the tests do not see it.
_SOURCE: Final = """\
import json
import os

import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))
_paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
if _HERE in _paths:
    _paths.remove(_HERE)
    if _paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(_paths)
    else:
        del os.environ["PYTHONPATH"]


class Recorder:
    def __init__(self):
        self.collected = None
        self.ran = set()
        self.passed = set()
        self.failed = set()
        self.failures = 0
        self.stopped = ""
        self.overruled = False

    def pytest_collection_finish(self, session):
        self.collect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        self.collect(ids)

    def collect(self, names):
        self.collected = (self.collected or set()) | set(names)

    def pytest_runtest_logreport(self, report):
        passed = report.when == "call" and report.outcome == "passed"
        if passed:
            self.passed.add(report.nodeid)
        if passed or report.outcome in ("failed", "skipped"):
            self.ran.add(report.nodeid)
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report):
        if report.failed and not hasattr(report, "wasxfail"):
            self.failures += 1
            self.failed.add(report.nodeid)

    def pytest_keyboard_interrupt(self, excinfo):
        self.stopped = "%s: %s" % (excinfo.type.__name__, excinfo.value)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session):
        before = session.exitstatus
        more = session.testsfailed > self.failures
        stop = str(session.shouldfail or session.shouldstop or "")
        yield
        self.overruled = more or session.exitstatus is not before
        if session.config.getoption("setuponly", False):
            stop = stop or "--setup-only and --setup-plan run no test"
        self.stopped = self.stopped or stop
        recorded = {
            "collected": None if self.collected is None else sorted(self.collected),
            "ran": sorted(self.ran),
            "passed": sorted(self.passed),
            "failed": sorted(self.failed),
            "interrupted": bool(self.stopped) and self.stopped != stop,
            "stopped": self.stopped,
            "overruled": bool(self.overruled),
        }
        with open(os.path.join(_HERE, "recorded.json"), "w", encoding="ascii") as file:
            json.dump(recorded, file)


def pytest_addoption(parser):
    # Notebooks as tests are another plugin, which is blocked here: a configuration may ask for it.
    group = parser.getgroup("stepkit")
    try:
        for name in ("stepkit", "stepkit-by-cell", "stepkit-compare"):
            group.addoption("--" + name, action="store_true")
            parser.addini(name.replace("-", "_"), name)
        for name in ("stepkit-args", "stepkit-output"):
            group.addoption("--" + name)
            parser.addini(name.replace("-", "_"), name)
    except ValueError:  # -p in addopts loaded it first
        pass


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(), "stepkit_outcome_recorder")
"""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the plugin recorded of one pytest session.

    ``failed`` names the tests that failed in any phase, and the files that could not be collected;
    ``passed`` counts the tests whose call passed. ``missing`` names the collected tests that did
    not run; ``complete`` is false when pytest was interrupted, did not finish collecting, or left
    out a test; ``stopped`` gives the reason in one line, if known. ``overruled`` means that
    something besides a failed test set the exit code.
    """

    failed: tuple[str, ...] = ()
    passed: int = 0
    missing: tuple[str, ...] = ()
    collected: int = 0
    complete: bool = True
    stopped: str = ""
    overruled: bool = False


def write(directory: Path) -> None:
    """Write the plugin into ``directory``, which must be in the PYTHONPATH of pytest."""
    (directory / f"{PLUGIN}.py").write_text(_SOURCE, encoding="utf-8")


def read(directory: Path) -> Recorded | None:
    """Return what the plugin in ``directory`` recorded, or None if pytest did not end normally."""
    try:
        return _parse(json.loads((directory / "recorded.json").read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _parse(recorded: dict[str, Any]) -> Recorded:
    collected = recorded["collected"]  # None if pytest did not finish collecting
    missing = tuple(sorted(set(collected or ()) - set(recorded["ran"])))
    return Recorded(
        failed=tuple(recorded["failed"]),
        passed=len(recorded["passed"]),
        missing=missing,
        collected=len(collected or ()),
        complete=collected is not None and not missing and not recorded["interrupted"],
        stopped=" ".join(recorded["stopped"].split())[:_MAX_STOPPED],
        overruled=recorded["overruled"],
    )
