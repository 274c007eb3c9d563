"""Which calls of cudf.pandas and cuml.accel ran on the CPU is known of each cell of a notebook."""

import logging
from pathlib import Path

import pytest
import stand_in_accelerators as stand_in
from runs import execute, statuses, text_of

from stepkit.notebook import cpu_fallback


def test_a_run_knows_what_each_cell_ran_on_the_cpu(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packages = stand_in.write(tmp_path / "packages")
    caplog.set_level(logging.INFO, "stepkit.engine")

    outcome = execute(
        tmp_path,
        "import os, sys\nprint(os.environ.get('STEPKIT_ACCELERATED_CALLS'),"
        " [name for name in sys.modules if 'call_counts' in name])",
        f"sys.path.insert(0, {str(packages)!r})\nimport cudf.pandas, cuml.accel\n"
        "from cudf.pandas.fast_slow_proxy import function, method\n"
        "concat, map_ = function('concat'), method('Series.map', error=TypeError('a lambda'))",
        "concat(1), concat(2), map_(3)",
        "map_(4)\ncuml.accel.profilers.cpu('PCA.fit', 60.0, reason='n_components')\n1 / 0",
    )

    cells = outcome.execution.cells
    assert statuses(outcome) == ["ok", "ok", "ok", "error"]
    assert text_of(outcome.notebook.cells[1]) == "None []\n"  # below the mark of the failure
    assert [cell.cpu_fallback and cell.cpu_fallback.share for cell in cells] == [
        None, None, pytest.approx(1 / 3, abs=1e-6), 1,
    ]  # fmt: skip
    assert outcome.cpu_fallback
    assert (outcome.cpu_fallback.calls, outcome.cpu_fallback.cpu_calls) == (5, 3)
    assert outcome.cpu_fallback == cpu_fallback.total(
        c.cpu_fallback for c in cells if c.cpu_fallback
    )
    assert [record.getMessage() for record in caplog.records if "CPU" in record.getMessage()] == [
        "cell 3: 33 % of calls on the CPU: Series.map",
        "cell 4: 100 % of calls on the CPU: PCA.fit, Series.map",
    ]


@pytest.mark.slow
def test_what_a_killed_kernel_had_called_before_its_last_cell_is_known(tmp_path: Path) -> None:
    packages = stand_in.write(tmp_path / "packages")

    outcome = execute(
        tmp_path,
        f"import sys\nsys.path.insert(0, {str(packages)!r})\nimport cuml.accel as a\n"
        "a.profilers.gpu('Ridge.fit', 1.0)",
        "a.profilers.gpu('Ridge.fit', 1.0)\nimport os\nos.kill(os.getpid(), 9)",
    )

    assert outcome.cpu_fallback
    assert (outcome.cpu_fallback.calls, outcome.cpu_fallback.share) == (1, 0)


@pytest.mark.slow
def test_a_version_that_cannot_be_counted_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packages = stand_in.write(tmp_path / "packages")
    (packages / "cudf/pandas/fast_slow_proxy.py").write_text("def function(): return 3\n")

    outcome = execute(
        tmp_path,
        f"import sys\nsys.path.insert(0, {str(packages)!r})\nimport cudf.pandas\n"
        "print(cudf.pandas.fast_slow_proxy.function())",
    )

    assert text_of(outcome.notebook.cells[0]) == "3\n"
    assert outcome.cpu_fallback is None
    assert "calls on the CPU are not counted: the import of cudf.pandas.fast_slow_proxy: " in (
        caplog.text
    )
