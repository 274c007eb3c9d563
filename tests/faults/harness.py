"""Run a step in a fault, and compare how it ends with what table.yaml says of the row.

A case function is a test with the decorator ``row``. It builds the fault and runs the step:

    @row("G36")
    def test_a_branch_that_does_not_exist(fault: Fault, origin: Origin) -> None:
        fault.place("source", whole=is_checkout)
        fault.run("--url", origin.url, "--revision", "no-such-branch", "--destination", "source")

It runs once for each of the row's cases; ``fault.case`` is the name of the case. :meth:`Fault.run`
checks exit code, reason, message, disk, and that no secret is in any file. What a machine lacks
skips the case: :meth:`Fault.needs`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import pytest
import yaml

TABLE: Final = Path(__file__).with_name("table.yaml")
LIES: Final = Path(__file__).with_name("lies.yaml")
DEADLINE: Final = 180  # seconds after which a step counts as hung, on a busy machine
SECRET: Final = "pl4nted/s3cret%of+tests"  # no file may hold it
_STEPS: Final = {
    "G": "git-clone",
    "D": "download-dataset",
    "P": "execute-notebook",
    "T": "run-tests",
}
# A kill may come after the report is complete.
_REASONS: Final = {0: ("ok",), 143: ("cancelled",), -9: ("killed", "ok")}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the table says of one case of a row; table.yaml explains the fields."""

    number: str
    case: str
    fault: str
    step: str
    exits: tuple[int, ...]
    reasons: tuple[str, ...]
    message: str
    disk: str
    absent: tuple[str, ...]
    slow: bool
    fails: str
    mended: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a step ended. ``report`` is empty, and so are its fields, if it wrote none."""

    exit: int
    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.report.get("reason", ""))

    @property
    def message(self) -> str:
        """Return the report's message, or the last line of the log."""
        lines = self.stderr.strip().splitlines()
        return str(self.report.get("message") or (lines[-1] if lines else ""))


@cache
def table() -> dict[str, tuple[Expected, ...]]:
    """Read the table: the cases of each row; a row without cases has one without a name."""
    rows = yaml.safe_load(TABLE.read_text()) | lies()
    return {number: tuple(_cases(number, row)) for number, row in rows.items()}


@cache
def lies() -> dict[str, dict[str, Any]]:
    """Read lies.yaml: its rows in the form of those of the table, with what makes their cases."""
    return {
        number: {
            "step": step,
            "fault": row["fault"],
            "mended": row.get("mended", ""),
            "cases": {
                name: {"exit": 0, "disk": "any", "slow": slow, **row.get("all", {}), **row[name]}
                for name, slow in (("lie", False), ("honest", True))
            },
        }
        for step, rows in yaml.safe_load(LIES.read_text()).items()
        for number, row in rows.items()
    }


def _cases(number: str, row: dict[str, Any]) -> Iterator[Expected]:
    cases = row.get("cases", {"": {}})
    for name, fields in cases.items() if isinstance(cases, dict) else ((c, {}) for c in cases):
        found = {**row, **fields}
        exits = _several(found["exit"])
        ok = exits == (0,)
        yield Expected(
            number=number,
            case=name,
            fault=row["fault"],
            step=found.get("step", _STEPS.get(number[0], "")),
            exits=exits,
            reasons=() if ok else _several(found.get("reason", ())),
            message=found.get("message", "").replace("{case}", re.escape(name)),
            disk=found.get("disk", "new" if ok else "old"),
            absent=_several(found.get("absent", ())),
            slow=found.get("slow", False),
            fails=found.get("fails", ""),
            mended=row.get("mended", ""),
        )


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def row(*numbers: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test of one or more rows: it runs once for each case, with the fixture ``fault``."""
    parameters = []
    for expected in (case for number in numbers for case in table()[number]):
        marks = [pytest.mark.slow] if expected.slow else []
        marks += [pytest.mark.xfail(reason=expected.fails, strict=True)] if expected.fails else []
        name = "-".join(filter(None, [expected.number, expected.case]))
        parameters.append(pytest.param(expected, id=name, marks=marks))
    parametrized = pytest.mark.parametrize("fault", parameters, indirect=True)
    return lambda function: pytest.mark.faults(parametrized(function))


@pytest.fixture
def fault(request: pytest.FixtureRequest, tmp_path: Path) -> Fault:
    """Return the fault of the case, with an empty directory for it."""
    (tmp_path / "work").mkdir()
    (tmp_path / "private").mkdir()
    node: pytest.Item = request.node
    expected: Expected = request.param
    node.user_properties += [("row", expected.number), ("case", expected.case)]
    return Fault(expected, tmp_path, node.user_properties, tmp_path)


@dataclass
class Fault:
    """A fault that a step meets.

    ``directory`` is the step's working directory, and no file below it may hold the secret, which
    the test may write to ``private``. Reports go to ``reports``.
    """

    expected: Expected
    base: Path
    properties: list[tuple[str, object]]
    reports: Path
    _place: Path | None = None
    _whole: Callable[[Path], bool] = field(default=lambda _: False)
    _before: object = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def number(self) -> str:
        return self.expected.number

    @property
    def case(self) -> str:
        return self.expected.case

    @property
    def directory(self) -> Path:
        return self.base / "work"

    @property
    def private(self) -> Path:
        return self.base / "private"

    def needs(self, *programs: str) -> None:
        """Skip the case where a program is missing, or root for "root"."""
        for name in programs:
            if (os.geteuid() != 0) if name == "root" else not shutil.which(name):
                pytest.skip(f"{self.expected.number}: needs {name}")

    def place(self, path: str | Path, whole: Callable[[Path], bool]) -> Path:
        """Say what the step writes: a file or directory, and whether it is all that it should be.

        What is there now is the old state. Returns the path.
        """
        self._place, self._whole = self.directory / path, whole
        self._before = snapshot(self._place)
        return self._place

    def prepare(self, *args: str | Path, step: str = "", **more: Any) -> None:
        """Run a step that must succeed; what it leaves at the place is the old state."""
        ended = self.execute(step or self.expected.step, args, **more)
        assert ended.exit == 0, ended
        if self._place:
            self._before = snapshot(self._place)

    def run(self, *args: str | Path, **more: Any) -> Ended:
        """Run the row's step as a process, check all that the table says, return how it ended.

        ``more``: ``env`` is added to the environment, and None removes a variable; ``before`` is a
        command that runs the step's, such as strace; ``command`` replaces that of the step;
        ``meanwhile`` is called with the process while it runs; the rest goes to subprocess.
        """
        ended = self.execute(self.expected.step, args, **more)
        with self._lock:
            self.judge(ended)
        return ended

    def judge(self, ended: Ended) -> None:
        """Compare how a step ended with the table."""
        expected = self.expected
        rounds = dict(self.properties).get("rounds", 0)
        self.properties[:] = [entry for entry in self.properties if entry[0] != "rounds"]
        self.properties.append(("rounds", int(str(rounds)) + 1))
        shown = f"exit code {ended.exit}, {ended.reason}: {ended.message}"
        self._check_leaks(ended)
        if ended.exit not in expected.exits:
            kind = "wrong class"
            if ended.exit == 0:
                kind = "false success"
            elif expected.exits == (0,):
                kind = "false failure"
            self.defect(kind, f"{shown}\n{ended.stderr[-3000:]}")
        reasons = _REASONS.get(ended.exit, expected.reasons)
        unwritten = not ended.report and (ended.exit < 0 or "cannot write" in ended.stderr)
        if reasons and ended.reason not in reasons and not unwritten:
            self.defect("wrong class", f"{shown}, expected {reasons}")
        if not re.search(expected.message, ended.message):
            self.defect("wrong class", f"{shown}, expected a message like {expected.message!r}")
        if ended.report and not (ended.message and "\n" not in ended.message):
            self.defect("wrong class", f"the message is not one line: {ended.message!r}")
        self._check_disk(ended)

    def defect(self, kind: str, detail: str) -> NoReturn:
        """Fail the case with the kind that the table of results counts."""
        self.properties.append(("defect", kind))
        pytest.fail(f"{kind}: {detail}")

    def execute(
        self,
        step: str,
        args: Sequence[str | Path],
        *,
        env: Mapping[str, str | None] | None = None,
        before: Sequence[str | Path] = (),
        command: Sequence[str | Path] = (sys.executable, "-P", "-m", "stepkit"),
        meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None,
        **more: Any,
    ) -> Ended:
        """Run a step as :meth:`run` does, and judge nothing but that it ends."""
        report = self.reports / f"report-{os.urandom(6).hex()}.json"
        pipe = subprocess.PIPE
        options: dict[str, Any] = {"cwd": self.directory, "stdin": subprocess.DEVNULL}
        options |= {"stdout": pipe, "stderr": pipe, "start_new_session": True, **more}
        whole = [*before, *command, step, *args, "--report", report]
        with subprocess.Popen(whole, env=_environment(env or {}), **options) as process:
            try:
                if meanwhile:
                    meanwhile(process)
                stdout, stderr = process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                self.defect("hung", f"{step} did not end within {DEADLINE} s")
            finally:
                if process.poll() is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        written = json.loads(report.read_text() or "{}") if report.exists() else {}
        return Ended(
            exit=process.returncode,
            stdout=(stdout or b"").decode(errors="replace"),
            stderr=(stderr or b"").decode(errors="replace"),
            report=written,
        )

    def _check_leaks(self, ended: Ended) -> None:
        wanted = [*spellings(SECRET), *(text.encode() for text in self.expected.absent)]
        texts = {"stdout": ended.stdout, "stderr": ended.stderr, "report": json.dumps(ended.report)}
        contents = {name: text.encode(errors="replace") for name, text in texts.items()}
        below = [*self.directory.rglob("*"), *(self._place.rglob("*") if self._place else ())]
        for path in below:
            with suppress(OSError):  # of another user, or gone
                if path.is_file() and not path.is_symlink():
                    contents[str(path)] = path.read_bytes()
        for name, content in contents.items():
            if found := [text for text in wanted if text in content]:
                self.defect("leaked", f"{found[0]!r} is in {name}")

    def _check_disk(self, ended: Ended) -> None:
        place, disk = self._place, self.expected.disk
        if place is None or disk == "any":
            return
        same = snapshot(place) == self._before
        whole = os.path.lexists(place) and self._whole(place)
        if not (same or whole):
            self.defect("torn" if os.path.lexists(place) else "lost", f"{place} is not whole")
        if disk == "new" and not whole:
            self.defect("lost", f"{place} was not written")
        if disk == "old" and not same:
            self.defect("lost", f"{place} is not as it was")
        left = [path.name for path in place.parent.glob(f".{glob_of(place.name)}.stepkit-*")]
        if left and ended.exit >= 0:
            self.defect("torn", f"the step left {left}")


def killing(seconds: float) -> Callable[[subprocess.Popen[bytes]], None]:
    """Return what kills a step and its children after so many seconds, if it still runs then."""

    def kill(process: subprocess.Popen[bytes]) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    return kill


def glob_of(name: str) -> str:
    """Return the pattern that fits a name alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment of a step: that of the tests, without proxies and secrets."""
    kept = {n: v for n, v in os.environ.items() if not re.search(r"(?i)proxy|token|^git_", n)}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


def snapshot(path: Path) -> object:
    """Return what is at a path: the kind and content of each file; None if there is nothing."""
    if not os.path.lexists(path):
        return None
    paths = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    return [(str(found.relative_to(path)), _content(found)) for found in paths]


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return "directory" if path.is_dir() else "other"


def spellings(secret: str) -> set[bytes]:
    """Return a secret as it is, in URLs, in hexadecimal, and within texts in base64."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), raw.hex().encode()}
    for offset in range(3):  # three bytes are four characters: the outer ones depend on neighbours
        inner = raw[offset : offset + (len(raw) - offset) // 3 * 3]
        found.add(b64encode(inner))
    return found
