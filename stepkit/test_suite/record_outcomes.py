"""A pytest plugin that records which tests were collected, which were run and which failed.

pytest's printed output can be imitated or switched off, a conftest can change its exit code, its
JUnit report and its reports of tests, and none of them shows that it stopped before the last test.
The plugin is loaded from a directory outside the checkout.
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


class Witness:
    # Sees what a test raised before the hooks of others do. Where a hook runs a phase of a test
    # again, its last run counts.
    def __init__(self):
        self.raised = set()

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item):
        outcome = yield
        self.note(item.nodeid, "call", outcome.excinfo, again=True)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item, call):
        self.note(item.nodeid, call.when, call.excinfo, again=call.when != "call")
        yield
        self.note(item.nodeid, call.when, call.excinfo)  # unittest's comes late

    def note(self, name, when, raised, again=False):
        if again:
            self.raised.discard((name, when))
        if raised:
            self.raised.add((name, when))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_report_to_serializable(self, report):
        outcome = yield
        if (report.nodeid, getattr(report, "when", "")) in self.raised:
            outcome.get_result()["stepkit_raised"] = True


class Recorder:
    def __init__(self, witness):
        self.witness = witness
        self.hidden = set()
        self.found = set()
        self.collected = None
        self.ran = set()
        self.passed = set()
        self.failed = set()
        self.failures = 0
        self.stopped = ""
        self.overruled = False

    def pytest_itemcollected(self, item):
        self.found.add(item.nodeid)

    def pytest_deselected(self, items):
        self.found -= {item.nodeid for item in items}

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_make_collect_report(self, collector):
        outcome = yield
        if not outcome.excinfo and outcome.get_result().failed:
            self.hidden.add(collector.nodeid)

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
        raised = (report.nodeid, report.when) in self.witness.raised
        if report.outcome == "passed" and (raised or getattr(report, "stepkit_raised", False)):
            self.hidden.add(report.nodeid)
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
            "hidden": sorted(self.hidden - self.failed),
            "removed": sorted(self.found - (self.collected or self.found)),
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
        config.pluginmanager.register(Recorder(_witness), "stepkit_outcome_recorder")


_witness = Witness()


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    # After every conftest.py: of hooks that come last, the youngest is nearest to the test.
    session.config.pluginmanager.register(_witness, "stepkit_witness")
    yield
"""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the plugin recorded of one pytest session.

    ``failed`` names the tests that failed in any phase, and the files that could not be collected;
    ``hidden`` those of which a hook said otherwise. ``removed`` names the tests that a hook took
    out after they were collected, without saying so. ``passed`` counts the tests whose call passed.
    ``missing`` names the collected tests that did not run; ``complete`` is false when pytest was
    interrupted, did not finish collecting, or left out a test; ``stopped`` gives the reason in one
    line, if known. ``overruled`` means that something besides a failed test set the exit code.
    """

    failed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
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
        hidden=tuple(recorded["hidden"]),
        removed=tuple(recorded["removed"]),
        passed=len(recorded["passed"]),
        missing=missing,
        collected=len(collected or ()),
        complete=collected is not None and not missing and not recorded["interrupted"],
        stopped=" ".join(recorded["stopped"].split())[:_MAX_STOPPED],
        overruled=recorded["overruled"],
    )
