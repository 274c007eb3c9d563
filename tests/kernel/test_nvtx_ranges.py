"""A range of NVTX for each cell, as a profiler sees it."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import commands
import pytest
from runs import execute, statuses, text_of

from stepkit.kernel import nvtx_ranges

PACKAGE = """\
import os, threading
def note(*words):
    with open(os.environ["NOTED"], "a") as file:
        print(*words, threading.current_thread() is threading.main_thread(), file=file)
def push_range(message): note("push", message)
def pop_range(): note("pop")
"""
LIBRARY = """\
#include <stdio.h>
int nvtxRangePushA(const char *name) { return printf("push %s\\n", name); }
int nvtxRangePop(void) { return printf("pop\\n"); }
"""
USE = """\
from stepkit.kernel import nvtx_ranges
with nvtx_ranges.open_ranges().cell("cell 1: näme"):
    pass
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a package nvtx, and a place where it notes its calls."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/nvtx.py").write_text(PACKAGE)
    return {"PYTHONPATH": str(tmp_path / "packages"), "NOTED": str(tmp_path / "noted")}


@pytest.mark.slow
def test_each_cell_is_a_range_with_its_number_and_title(
    tmp_path: Path, env: dict[str, str]
) -> None:
    cells = ("import math\nmath.pi", "1 / 0", "print('nvtx' in globals())")
    tags = {1: ["raises-exception"]}
    outcome = execute(tmp_path, *cells, tags=tags, env={**env, "NSYS_PROFILING_SESSION_ID": "1234"})

    assert statuses(outcome) == ["ok", "expected-error", "ok"]
    assert (tmp_path / "noted").read_text().splitlines() == [
        "push cell 1: math.pi True", "pop True",
        "push cell 2: 1 / 0 True", "pop True",
        "push cell 3: print('nvtx' in globals()) True", "pop True",
    ]  # fmt: skip
    assert text_of(outcome.notebook.cells[2]) == "False\n"
    assert [cell.source for cell in outcome.notebook.cells] == list(cells)


@pytest.mark.slow
def test_without_a_profiler_nothing_is_loaded(tmp_path: Path, env: dict[str, str]) -> None:
    outcome = execute(tmp_path, "import sys\nprint('nvtx' in sys.modules)", env=env)

    assert text_of(outcome.notebook.cells[0]) == "False\n"
    assert not (tmp_path / "noted").exists()


@pytest.mark.slow
def test_a_profiled_kernel_without_nvtx_runs_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/nvtx.py").write_text("raise OSError('torn')")
    env = {"PYTHONPATH": str(tmp_path / "packages"), "NVTX_INJECTION64_PATH": "/nothing.so"}
    outcome = execute(tmp_path, "1", env=env)

    assert statuses(outcome) == ["ok"]
    assert "stepkit: a profiler runs, but cells have no NVTX range" in caplog.text


def test_the_toolkits_library_serves_where_the_package_is_not_installed(tmp_path: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc to build the library with")
    (tmp_path / "a.c").write_text(LIBRARY)
    library = tmp_path / "libnvToolsExt.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "a.c"], check=True)
    (tmp_path / "nvtx.py").write_text("raise ImportError('not installed')")
    env = {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}

    assert commands.python("-c", USE, env=env).stdout == "push cell 1: näme\npop\n"


def test_a_range_that_fails_does_not_fail_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the profiler is gone")

    monkeypatch.setitem(sys.modules, "nvtx", SimpleNamespace(push_range=broken, pop_range=broken))
    ranges = nvtx_ranges.open_ranges()

    assert ranges
    with ranges.cell("cell 1"):
        ran = True
    assert ran
    with pytest.raises(KeyError), ranges.cell("cell 2"):
        raise KeyError


def test_a_range_that_did_not_begin_ends_none_of_the_notebooks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: list[str] = []

    def push(name: str) -> None:
        names.append(name.encode().decode())

    monkeypatch.setitem(sys.modules, "nvtx", SimpleNamespace(push_range=push, pop_range=names.pop))
    ranges = nvtx_ranges.open_ranges()

    assert ranges
    push("of the notebook")
    with ranges.cell("cell 1: \ud800"):
        pass
    assert names == ["of the notebook"]
