"""A witness inside pytest: it writes down which tests were collected and which were run.

What pytest prints can be imitated or switched off, and its exit code and its report do not tell
that it stopped halfway. So a small plugin goes along, from a directory outside the checkout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN: Final = "stepkit_witness"

_SHOWN: Final = 200  # characters of what stopped pytest

# Runs by the tests' own Python, of any version that pytest supports; the workers of xdist load it,
# too, but only the process that hears of all tests writes. Subprocesses of the tests shall not
# see our directory, so it leaves PYTHONPATH as soon as it is in sys.path.
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
    def __init__(self):
        self.collected = None
        self.ran = set()
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
        if report.outcome in ("failed", "skipped") or (
            report.when == "call" and report.outcome == "passed"
        ):
            self.ran.add(report.nodeid)
        self.pytest_collectreport(report)

    def pytest_collectreport(self, report):
        self.failures += report.failed and not hasattr(report, "wasxfail")

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
        seen = {
            "collected": None if self.collected is None else sorted(self.collected),
            "ran": sorted(self.ran),
            "interrupted": bool(self.stopped) and self.stopped != stop,
            "stopped": self.stopped,
            "overruled": bool(self.overruled),
        }
        with open(os.path.join(_HERE, "seen.json"), "w", encoding="ascii") as file:
            json.dump(seen, file)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Witness(), "stepkit_witness_of_the_session")
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the witness saw of one session.

    ``missing`` names the collected tests that did not run; ``complete`` is false when pytest was
    interrupted, did not finish collecting, or left out a test; ``stopped`` says why, if known, in
    one line. ``overruled`` means that something besides a failed test set the exit code.
    """

    missing: tuple[str, ...] = ()
    collected: int = 0
    complete: bool = True
    stopped: str = ""
    overruled: bool = False


def write(directory: Path) -> None:
    """Put the plugin into ``directory``, which pytest then needs in its PYTHONPATH."""
    (directory / f"{PLUGIN}.py").write_text(_SOURCE, encoding="utf-8")


def read(directory: Path) -> Seen | None:
    """Return what the plugin in ``directory`` saw, or None if pytest did not get to its end."""
    try:
        seen = json.loads((directory / "seen.json").read_bytes())
    except (OSError, ValueError):
        return None
    collected = seen["collected"]
    missing = tuple(sorted(set(collected or ()) - set(seen["ran"])))
    return Seen(
        missing=missing,
        collected=len(collected or ()),
        complete=collected is not None and not missing and not seen["interrupted"],
        stopped=" ".join(seen["stopped"].split())[:_SHOWN],
        overruled=seen["overruled"],
    )
