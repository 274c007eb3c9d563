"""What is kept of cells that fail, by a real kernel that raises, hangs and dies."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from runs import execute

from stepkit.errors import Evidence
from stepkit.formats.plain_text import plain
from stepkit.notebook.verdict import CellRun, describe_failure

DEEP = """\
def load(name):
    return table(name)

def table(name):
    return column(name)

def column(name):
    return {}[name]

print('loading')
load('pca')"""

# source: the line that failed, and the title of the cell
RAISE: Mapping[str, tuple[int | None, str]] = {
    DEEP: (8, "return {}[name]"),
    "column('umap')": (1, "column('umap')"),  # in a function of another cell
    "\n\n# first\n1/0": (4, "1/0"),  # IPython does not count blank lines at the start
    "    x = 1\n    1/0": (2, "1/0"),
    "if True:\n\ty =\t1 / 0  # tabs": (2, "y = 1 / 0 # tabs"),
    "%%time\nx = 1\n1/0\ny = 2": (3, "1/0"),
    "%%capture\nx = 1\n\n1/0": (4, "1/0"),
    "%%bash\necho hello\nexit 3": (1, "%%bash"),
    "x = 1\n%run /nowhere.py": (2, "%run /nowhere.py"),
    "y = dict(\n    a=1,\n    b=1 / 0,\n)": (3, "b=1 / 0,"),
    "x = 1\ndef (:\n    pass": (2, "def (:"),
    "if 1:\nx": (2, "x"),
    "try:\n    1/0\nexcept Exception as e:\n    raise ValueError('no') from e": (
        4, "raise ValueError('no') from e",
    ),
    "import json\njson.loads('{')": (2, "json.loads('{')"),
    "raise ExceptionGroup('several', [KeyError('a')])": (
        None, "raise ExceptionGroup('several', [KeyError('a')])",
    ),
    "%xmode Plain\nx = 2\n1/0": (3, "1/0"),
    "%xmode Minimal\n1/0": (None, "1/0"),
    "%xmode Verbose\n1/0": (2, "1/0"),
}  # fmt: skip
HOSTILE = """\
class Bad(Exception):
    def __str__(self):
        raise RuntimeError('no text')
raise Bad()"""


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, CellRun]:
    """Execute cells of which each raises; return them by their source."""
    long = "print(*range(100), sep='\\n')\nraise ValueError('x' * 10**6 + '\\n' * 10**6)"
    bytes_ = (
        "print('\\x1b[31mred\\x1b[0m \\x07', '10 %\\r20 %', sep='\\n')\nraise E('\\udcff\\x1b]')"
    )
    sources = [*RAISE, HOSTILE, long, "class E(Exception): pass\n" + bytes_]
    directory = tmp_path_factory.mktemp("raised")
    tags = {number: ["raises-exception"] for number in range(len(sources))}
    cells = execute(directory, *sources, tags=tags).execution.cells
    assert {cell.status for cell in cells} == {"expected-error"}
    by_name = {"hostile": cells[-3], "long": cells[-2], "bytes": cells[-1]}
    return dict(zip(RAISE, cells, strict=False)) | by_name


def error_of(cell: CellRun) -> Evidence:
    assert cell.error is not None
    return cell.error


@pytest.mark.parametrize("source", RAISE)
def test_a_cell_that_raised_is_named_by_the_line_that_failed(
    raised: Mapping[str, CellRun], source: str
) -> None:
    cell, error = raised[source], error_of(raised[source])

    assert (error.line, cell.title) == RAISE[source]
    assert error.source == plain(source)


def test_the_evidence_of_an_error_three_calls_deep_is_complete(
    raised: Mapping[str, CellRun],
) -> None:
    error = error_of(raised[DEEP])

    assert (error.ename, error.evalue, error.left_out) == ("KeyError", "'pca'", 0)
    assert error.output == ("loading",)
    assert "\x1b[" in error.traceback
    lines = plain(error.traceback).split("\n")
    assert lines[-1] == "KeyError: 'pca'"
    assert [line for line in lines if line.startswith("-") and ">" in line] == [
        "---> 11 load('pca')",
        "----> 2     return table(name)",
        "----> 5     return column(name)",
        "----> 8     return {}[name]",
    ]


def test_an_exception_whose_text_raises_is_shown_all_the_same(
    raised: Mapping[str, CellRun],
) -> None:
    error = error_of(raised["hostile"])

    assert (error.ename, error.evalue) == ("RuntimeError", "no text")
    assert error.line == 3
    assert "RuntimeError: no text" in plain(error.traceback)


def test_a_text_without_end_is_cut(raised: Mapping[str, CellRun]) -> None:
    error = error_of(raised["long"])

    assert error.evalue == "x" * 10_000
    assert len(error.traceback.split("\n")) <= 40
    assert len(error.traceback) < 100_000
    assert error.output == tuple(map(str, range(80, 100)))


def test_what_is_not_text_is_escaped(raised: Mapping[str, CellRun]) -> None:
    error = error_of(raised["bytes"])

    assert error.output == (r"red \x07", "20 %")
    shown = "".join((error.evalue, *error.output, plain(error.traceback), error.source))
    assert not [mark for mark in shown if ord(mark) < 32 and mark != "\n"]
    shown.encode("utf-8", "surrogatepass")


CRASH = """\
import ctypes, time

def crash(address):
    ctypes.string_at(address)

print('begun', flush=True); time.sleep(0.5)  # it is sent by another thread
crash(0)"""


def test_of_a_kernel_that_crashed_the_last_output_and_the_stack_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = execute(tmp_path, "1", CRASH)
    cell, error = outcome.execution.cells[1], error_of(outcome.execution.cells[1])

    assert (cell.status, cell.title, error.line) == ("stopped", "ctypes.string_at(address)", 4)
    assert error.output == ("begun",)
    assert error.stack.startswith("Fatal Python error: Segmentation fault\nCurrent thread")
    assert '  File "cell 2", line 4 in crash\n  File "cell 2", line 7 in <module>\n' in error.stack
    assert "ipykernel" not in error.stack
    assert "Fatal Python error" not in caplog.text
    assert "----> 4     ctypes.string_at(address)" in describe_failure(outcome.execution)


def test_the_traceback_of_a_sleeping_cell_shows_where_a_time_limit_stopped_it(
    tmp_path: Path,
) -> None:
    code = "import time\ndef wait():\n    time.sleep(60)\nwait()"
    outcome = execute(tmp_path, code, execution_timeout=0.3)
    cell, error = outcome.execution.cells[0], error_of(outcome.execution.cells[0])

    assert (cell.status, cell.title) == ("stopped", "time.sleep(60)")
    assert (error.ename, error.line, error.stack) == ("KeyboardInterrupt", 3, "")


@pytest.mark.slow
def test_the_stack_of_a_cell_that_ignores_an_interrupt_shows_where_it_was(tmp_path: Path) -> None:
    code = "import time\nwhile True:\n    try: time.sleep(9)\n    except KeyboardInterrupt: pass"
    outcome = execute(tmp_path, code, execution_timeout=0.5)
    cell, error = outcome.execution.cells[0], error_of(outcome.execution.cells[0])

    assert (cell.title, error.line) == ("try: time.sleep(9)", 3)
    assert '  File "cell 1", line 3 in <module>\n' in error.stack
