"""A notebook that runs more on the CPU than is accepted fails, and leaves all that it made."""

import json
from pathlib import Path

import pytest
import stand_in_accelerators as stand_in
from samples import write_notebook
from step_runs import failed, printed, refused, run

from stepkit.cli import main as cli
from stepkit.errors import Reason, UserCodeError
from stepkit.steps.execute_notebook import Outputs


def fallen_back(directory: Path) -> Path:
    """Write a notebook that runs three of four calls on the CPU."""
    packages = stand_in.write(directory / "packages")
    return write_notebook(
        directory / "a.ipynb",
        f"import sys\nsys.path.insert(0, {str(packages)!r})\nimport cudf.pandas\n"
        "from cudf.pandas.fast_slow_proxy import function, method\n"
        "map_ = method('Series.map', error=MemoryError('std::bad_alloc'))",
        "function('concat')(1)\nprint(map_(1), map_(2), map_(3))",
    )


def test_a_limit_that_is_no_share_is_refused_before_the_notebook_runs(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1")

    assert "--max-cpu-fallback '20' is not a share" in refused(notebook, max_cpu_fallback="20")
    assert not (tmp_path / "out/executed.ipynb").exists()


@pytest.mark.slow
def test_more_than_the_limit_fails_with_all_files_in_place(tmp_path: Path) -> None:
    error = failed(
        fallen_back(tmp_path), max_cpu_fallback="50%", metrics=tmp_path / "out/metrics.prom"
    )

    assert type(error) is UserCodeError
    assert (error.reason, error.exit_code) == (Reason.CPU_FALLBACK, 3)
    assert str(error) == (
        "75 % of calls ran on the CPU, and --max-cpu-fallback accepts 50 %: Series.map; 3 calls "
        "for want of GPU memory. Most of that time went into cell 2 "
        "(`print(map_(1), map_(2), map_(3))`)"
    )
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.cpu_fallback
    assert (error.outputs.cpu_fallback.share, error.outputs.cpu_fallback.out_of_memory) == (0.75, 3)
    assert error.outputs.cells_run == 2
    assert printed(tmp_path / "out/executed.ipynb") == "(1,) (2,) (3,)\n"
    log = (tmp_path / "out/papermill.log").read_text()
    assert "cell 2: 75 % of calls on the CPU: Series.map" in log
    assert f"verdict: {error}" in log
    assert (
        'stepkit_notebook_cpu_fallback_ratio{notebook="executed",source="a.ipynb"} 0.75\n'
        in (tmp_path / "out/metrics.prom").read_text()
    )


@pytest.mark.slow
def test_within_the_limit_the_report_has_what_ran_on_the_cpu(tmp_path: Path) -> None:
    notebook, report = fallen_back(tmp_path), tmp_path / "report.json"
    command = ["execute-notebook", str(notebook), str(tmp_path / "out.ipynb")]

    assert cli.main([*command, "--max-cpu-fallback", "0.75", "--report", str(report)]) == 0

    outputs = json.loads(report.read_text())["outputs"]
    did = outputs["cells"][1]["cpu_fallback"]
    assert outputs["cells"][0]["cpu_fallback"] is None
    assert outputs["cpu-fallback"] == did
    assert (did["share"], did["calls"], did["cpu_calls"]) == (0.75, 4, 3)
    (function,) = did["functions"]
    assert (function["name"], function["calls"]) == ("Series.map", 3)
    assert function["why"] == "MemoryError: std::bad_alloc"


@pytest.mark.slow
def test_a_notebook_that_loads_no_accelerator_does_not_meet_a_limit(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print(1)")

    error = failed(notebook, max_cpu_fallback="1")

    assert (error.reason, error.exit_code) == (Reason.CPU_FALLBACK, 3)
    assert "no call of cudf.pandas or cuml.accel was counted" in str(error)
    assert run(notebook).cpu_fallback is None  # without a limit it is nothing to mention
