"""Real processes and kernels: each notebook that runs takes more than a second."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import run_records
import step_reports
from junit_files import cases, suites
from refusals import refusal
from samples import write_notebook
from waiting import until

from stepkit.batch import child as batch_child
from stepkit.batch.planned_notebook import NotebookRun
from stepkit.cli import main as cli
from stepkit.engine.kernel_process import LAUNCHER
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.step import Checks
from stepkit.steps import execute_notebooks
from stepkit.steps.execute_notebooks import Options, Outputs

SLEEP = "import time; time.sleep(600)"


def files(*names: str) -> set[str]:
    """Return the files that a run leaves for each notebook."""
    endings = (".ipynb", ".log", ".timeline.json.gz", ".progress.json")
    return {f"{name}{end}" for name in names for end in endings} | {
        f"reports/{name}.json" for name in names
    }


class Run:
    """A directory of notebooks, and the results of their runs."""

    def __init__(self, directory: Path, log: pytest.LogCaptureFixture) -> None:
        self.directory = directory
        self.log = log
        self.out = directory / "out"

    def notebook(self, name: str, *sources: str) -> Path:
        return write_notebook(self.directory / f"source/{name}.ipynb", *sources)

    def plan(self, *notebooks: dict[str, Any], **more: Any) -> Path:
        path = self.directory / "source/plan.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"notebooks": notebooks, **more}))  # JSON is YAML
        return path

    def run(self, **options: Any) -> Outputs:
        return execute_notebooks.run(Options(directory=self.out, **options))

    def failed(self, kind: type[StepError], reason: Reason, **options: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.run(**options)
        assert type(caught.value) is kind
        assert caught.value.reason == reason
        return caught.value

    def report(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.out / f"reports/{name}.json").read_text())
        return data

    def left(self) -> set[str]:
        return {str(path.relative_to(self.out)) for path in self.out.rglob("*") if path.is_file()}


@pytest.fixture
def several(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Run:
    return Run(tmp_path, caplog)


def by_name(outputs: Any) -> dict[str, NotebookRun]:
    assert isinstance(outputs, Outputs)
    runs = {run.name: run for run in outputs.notebooks}
    counts = (outputs.passed, outputs.tolerated, outputs.failed, outputs.cancelled,
              outputs.skipped, outputs.not_run, outputs.flaky)  # fmt: skip
    assert sum(counts) == outputs.total == len(runs)
    return runs


def test_a_pattern_runs_each_notebook_in_a_separate_process(several: Run) -> None:
    several.notebook("02 {b} [x]", "print(open('x').read())")
    several.notebook("01", "open('x', 'w').write('written by 01')", "n = 1")
    before = [path.read_bytes() for path in sorted((several.directory / "source").iterdir())]

    with several.log.at_level(logging.INFO):
        outputs = several.run(
            notebooks=(f"{several.directory}/source/*.ipynb",), suffix="_lite", log_output=True
        )

    assert outputs.message == "2 of 2 notebooks passed"
    assert (outputs.total, outputs.passed, outputs.status) == (2, 2, "succeeded")
    assert several.left() == files("01_lite", "02 {b} [x]_lite")
    assert several.report("01_lite")["step"] == "execute-notebook"
    assert by_name(outputs)["01"].cells_run == 2
    lines = [record.getMessage() for record in several.log.records]
    assert lines[0] == "notebook 1/2 01: started"
    assert "02 {b} [x] | cell 1/1: print(open('x').read())" in lines
    assert any("| written by 01" in line for line in lines)
    assert not any("cells-total=" in line for line in lines)
    assert lines.index("notebook 2/2 02 {b} [x]: started") > lines.index("01 | cell 2/2: n = 1")
    assert lines[-2:] == [
        f"{line}  passed     {run.seconds:>7.1f} s  {run.message}"
        for line, run in zip(("01        ", "02 {b} [x]"), outputs.notebooks, strict=True)
    ]
    after = [p.read_bytes() for p in sorted((several.directory / "source").glob("*.ipynb"))]
    assert after == before


def test_a_failed_notebook_is_named_and_the_independent_ones_go_on(several: Run) -> None:
    several.notebook("01", "1/0", "2")
    several.notebook("02", "2")
    several.notebook("03", "import os", "open('new', 'w').write(os.environ['MODE'] + str(n))")
    for name in ("old", "new"):
        (several.directory / "source" / name).touch()
    plan = several.plan(
        {"path": "01.ipynb"},
        {"path": "02.ipynb", "needs": ["01"]},
        {"path": "03.ipynb", "env": {"MODE": "quick"}, "parameters": {"n": 7},
         "outputs": ["old", "new"]},
        {"path": "gone.ipynb", "enabled": False, "reason": "UCX", "until": "2999-01-01"},
    )  # fmt: skip

    junit = several.directory / "cells.xml"
    error = several.failed(UserCodeError, Reason.CELL_ERROR, plan=plan, junit=junit)

    assert str(error) == (
        "01: cell 1 of 2 (`1/0`) raised ZeroDivisionError: division by zero; 1 cell after it did "
        "not run; 1 of 4 notebooks passed, 1 failed, 1 skipped, 1 not run"
    )
    runs = by_name(error.outputs)
    assert {name: run.status for name, run in runs.items()} == {
        "01": "failed", "02": "not-run", "03": "passed", "gone": "skipped",
    }  # fmt: skip
    assert (runs["01"].exit_code, runs["01"].reason) == (3, "cell-error")
    assert runs["02"].message == "needs 01, which failed"
    assert (runs["gone"].message, runs["gone"].until) == ("UCX", "2999-01-01")
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.junit == junit
    assert error.outputs.test_output == Checks(successes=1, failures=1)
    found = {Path(suite.name).name: cases(suite) for suite in suites(junit)}
    assert [case[:2] for case in found["01.ipynb"]] == [
        ("cell 1: 1/0", "failure"), ("cell 2: 2", "skipped"),
    ]  # fmt: skip
    assert found["02.ipynb"] == [("the whole run", "skipped", "not run: needs 01, which failed")]
    assert [kind for _, kind, _ in found["03.ipynb"]] == ["", "", ""]
    assert found["gone.ipynb"] == [("the whole run", "skipped", "skipped: UCX (until 2999-01-01)")]
    assert several.left() == files("01", "03")
    assert (several.directory / "source/new").read_text() == "quick7"
    assert "03 did not write old, which was there before" in several.log.text
    assert "did not write new" not in several.log.text


def test_a_missing_input_or_output_fails_the_notebook(several: Run) -> None:
    data = several.directory / "source/data.csv"
    several.notebook("01", "import os; os.remove('data.csv')")
    several.notebook("02", "1")
    data.touch()
    plan = several.plan(
        {"path": "01.ipynb", "outputs": ["h5/x.h5ad"]},
        {"path": "02.ipynb", "inputs": ["data.csv"]},
    )

    error = several.failed(UserCodeError, Reason.ARTIFACT_MISSING, plan=plan)

    runs = by_name(error.outputs)
    assert str(error).startswith("01: 1 of 1 cells ran, but it did not write h5/x.h5ad (")
    assert (runs["02"].reason, runs["02"].exit_code) == ("bad-input", 2)
    assert runs["02"].message == f"its input data.csv is not there ({data})"
    assert runs["02"].seconds == 0
    report = several.report("01")
    ended = (report["status"], report["reason"], report["exit_code"])
    assert ended == ("failed", "artifact-missing", 3)
    assert report["outputs"]["cells-run"] == 1
    assert several.left() == files("01")


@pytest.mark.slow
def test_a_notebook_that_passes_when_it_runs_again_is_flaky_and_those_after_it_run(
    several: Run,
) -> None:
    dies_once = (
        "import os, pathlib\nmemory = pathlib.Path('memory')\n"
        "if not memory.exists():\n    memory.touch()\n    os.kill(os.getpid(), 9)\n"
    )
    several.notebook("01", dies_once)
    several.notebook("02", "1")
    junit = several.out / "junit.xml"

    outputs = several.run(
        notebooks=(f"{several.directory}/source/*.ipynb",), attempts=2, junit=junit
    )

    runs = by_name(outputs)
    assert {name: run.status for name, run in runs.items()} == {"01": "flaky", "02": "passed"}
    assert (outputs.status, outputs.flaky, outputs.passed) == ("flaky", 1, 1)
    assert outputs.message == "1 of 2 notebooks passed, 1 flaky"
    assert outputs.test_output == Checks(successes=1, warnings=1)
    assert several.report("01")["outputs"]["attempts"][0]["reason"] == "kernel-died"
    assert "<flakyFailure" in junit.read_text()


def test_a_killed_process_fails_although_an_earlier_run_passed(several: Run) -> None:
    several.notebook("01", "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
    reports = several.out / "reports"
    reports.mkdir(parents=True)
    for name in ("01", "02"):
        earlier = {"step": "execute-notebook", "status": "succeeded", "exit_code": 0}
        (reports / f"{name}.json").write_text(json.dumps(earlier))
    (several.out / "02.ipynb").touch()
    several.notebook("02", "2")
    plan = several.plan({"path": "01.ipynb"}, {"path": "02.ipynb", "needs": ["01"]})

    error = several.failed(ToolError, Reason.KILLED, plan=plan)

    assert "01: its process was killed by SIGKILL; 0 of 2 notebooks passed" in str(error)
    assert by_name(error.outputs)["01"].exit_code == -9
    assert several.report("01")["reason"] == "killed"
    assert not (reports / "02.json").exists()


def test_a_warning_names_the_earlier_output_of_a_notebook_that_did_not_run(several: Run) -> None:
    several.out.mkdir()
    (several.out / "a.ipynb").touch()
    plan = several.plan({"path": "a.ipynb", "enabled": False, "reason": "UCX"})

    error = several.failed(ConfigurationError, Reason.BAD_INPUT, plan=plan)

    assert str(error) == "0 of 1 notebooks ran, all skipped: a: UCX"
    assert by_name(error.outputs)["a"].status == "skipped"
    assert f"a did not run: {several.out}/a.ipynb is an earlier run's" in several.log.text


@pytest.mark.slow
def test_rules_variants_tolerance_and_pages_apply_to_notebooks_at_once(several: Run) -> None:
    meet = (
        "import os, pathlib, time\npathlib.Path(f'{os.getpid()}.on').touch()\n"
        "while len(list(pathlib.Path().glob('*.on'))) < 2: time.sleep(0.02)"
    )
    several.notebook("01", "n = 1", "{}['pca']", meet, "print('n is', n)")
    rules = several.directory / "source/rules.yaml"
    rules.write_text("variants: {lite: {rules: [{set: {n: 7}}]}}")
    plan = several.plan(
        {"path": "01.ipynb", "rules": "rules.yaml", "variant": "lite"},
        {"path": "01.ipynb", "name": "again", "rules": "rules.yaml"},
        defaults={"tolerate": ["KeyError:pca"]},
    )

    outputs = several.run(plan=plan, page=True, jobs=2, run_timeout=60.0)

    assert outputs.status == "tolerated"
    assert outputs.message == (
        "passed with 2 tolerated errors: 0 of 2 notebooks passed, 2 with tolerated errors"
    )
    assert [run.tolerated for run in outputs.notebooks] == [1, 1]
    assert several.left() == files("01_lite", "again") | {
        "01_lite.html", "01_lite.patched.ipynb", "01_lite.patched.diff", "again.html",
    }  # fmt: skip
    assert "n is 7" in (several.out / "01_lite.html").read_text()
    assert "n is 1" in (several.out / "again.html").read_text()
    assert several.report("01_lite")["outputs"]["changes"][0]["what"]
    page = step_reports.summary(several.out / "reports")
    assert page.startswith("# Run: passed with 2 tolerated errors")
    assert "### Changed by rules (variant lite)" in page


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"parameters": {"m": 2}}, "never uses the parameter 'm'"),
        ({"kernel": "none-such"}, "kernel 'none-such', which is not installed"),
        ({"variant": "lite"}, "there is no variant 'lite'"),
        ({"rules": "rules.yaml"}, "rules.yaml, line 1"),
        ({"tolerate": ["KeyError:["]}, "KeyError:["),
    ],
)
def test_a_mistake_in_the_last_notebook_is_reported_before_the_first_runs(
    several: Run, more: dict[str, Any], problem: str
) -> None:
    several.notebook("01", "n = 1")
    (several.directory / "source/rules.yaml").write_text("rules: [{set: {absent: 1}}]")
    plan = several.plan({"path": "01.ipynb"}, {"path": "01.ipynb", "name": "02", **more})

    message = refusal(several.run, plan=plan)

    assert message.startswith("02: ")
    assert problem in message
    assert not several.out.exists()


@pytest.mark.slow
def test_a_kernel_in_the_plans_environment_is_found_by_the_child(several: Run) -> None:
    spec = several.directory / "share/kernels/own/kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "own", "language": "python"}))
    several.notebook("01", "n = 1")
    env = {"JUPYTER_PATH": str(several.directory / "share")}
    plan = several.plan(
        {"path": "01.ipynb", "kernel": "own", "env": env},
        {"path": "01.ipynb", "name": "02", "kernel": "other", "env": env},
    )

    error = several.failed(ConfigurationError, Reason.BAD_INPUT, plan=plan)

    runs = by_name(error.outputs)
    assert str(error).startswith("02: --kernel asks for kernel 'other', which is not installed")
    assert (runs["01"].status, runs["02"].exit_code) == ("passed", 2)


@pytest.mark.slow
def test_variables_of_a_plan_reach_the_notebook_and_not_its_judge(several: Run) -> None:
    started = several.directory / "started"
    (several.directory / "lib").mkdir()
    (several.directory / "lib/sitecustomize.py").write_text(
        f"import sys\nopen({str(started)!r}, 'a').write(' '.join(sys.orig_argv) + '\\n')\n"
    )
    several.notebook("01", "import os", "assert os.environ['STEPKIT_NO_CONFIG'] == '1'")
    env = {"PYTHONPATH": str(several.directory / "lib"), "STEPKIT_NO_CONFIG": ""}

    outputs = several.run(plan=several.plan({"path": "01.ipynb", "env": env}))

    assert outputs.passed == 1
    assert re.findall(r"(?m)^\S+ (\S+)", started.read_text()) == [str(LAUNCHER)]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "by --notebooks or by --plan, one of the two"),
        ({"notebooks": ("a",), "plan": Path("p")}, "one of the two"),
        ({"notebooks": ("a",), "suffix": "/x"}, "--suffix '/x' cannot end the name"),
        ({"notebooks": ("a.ipynb",)}, "there is no notebook a.ipynb"),
        ({"notebooks": ("a",), "rmm_mode": "managed", "on_gpu_oom": "retry-lower",
          "variant": "lite", "gpu_oom_variant": "lite"}, "or name a --gpu-oom-variant"),
        ({"notebooks": ("a",), "max_cpu_fallback": "20"}, "--max-cpu-fallback '20' is not a share"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_and_write_nothing(
    several: Run, options: dict[str, Any], problem: str
) -> None:
    assert problem in refusal(several.run, **options)
    assert not several.out.exists()


BOTH = ("--notebooks", "source/01.ipynb", "source/02.ipynb")


def command(several: Run, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "stepkit", "execute-notebooks", "--directory=out", *args],
        cwd=several.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until(lambda: path.exists() or process.poll() is not None)
    assert path.exists(), process.communicate()


def test_sigterm_saves_what_runs_and_starts_nothing_more(several: Run) -> None:
    several.notebook("01", "print('kept')", f"open('on', 'w'); {SLEEP}", "3")
    several.notebook("02", "2")
    process = command(several, *BOTH, "--report=report.json")

    wait_for(several.directory / "source/on", process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 143
    assert "Traceback" not in stderr
    stopped = "stopped by SIGTERM: 0 of 2 notebooks passed, 1 stopped, 1 not run [cancelled]"
    assert stderr.splitlines()[-1].endswith(stopped)
    report = json.loads((several.directory / "report.json").read_text())
    assert report["status"] == "cancelled"
    first, second = report["outputs"]["notebooks"]
    assert (first["status"], first["exit_code"], first["cells_run"]) == ("cancelled", 143, 1)
    assert (second["status"], second["message"]) == ("not-run", "the run was stopped")
    assert several.report("01")["status"] == "cancelled"
    assert "kept" in (several.out / "01.ipynb").read_text()
    assert not (several.out / "02.ipynb").exists()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.slow
def test_a_killed_parent_leaves_no_notebook_and_no_kernel_running(several: Run, jobs: int) -> None:
    for name in ("01", "02"):
        several.notebook(name, "print('kept')", f"open('{name}', 'w'); {SLEEP}")
    names = ("01", "02")[:jobs]
    process = command(several, *BOTH, f"--jobs={jobs}")
    for name in names:
        wait_for(several.directory / "source" / name, process)
    below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(below) >= 2 * jobs

    process.kill()
    process.communicate(timeout=60)

    until(lambda: all(gone(pid) for pid in below))
    for name in names:
        assert several.report(name)["status"] == "cancelled"
        assert "kept" in (several.out / f"{name}.ipynb").read_text()


@pytest.mark.slow
def test_a_hangup_saves_the_running_notebook(several: Run) -> None:
    several.notebook("01", "print('kept')", f"open('on', 'w'); {SLEEP}")
    process = command(several, "--notebooks=source/01.ipynb")
    wait_for(several.directory / "source/on", process)

    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 129
    assert "stopped by SIGHUP: 0 of 1 notebooks passed, 1 stopped [cancelled]" in stderr
    assert several.report("01")["status"] == "cancelled"
    assert "kept" in (several.out / "01.ipynb").read_text()


def test_secrets_stay_out_of_command_lines_reports_and_kernels(several: Run) -> None:
    several.notebook(
        "01",
        "import os, pathlib; proc = pathlib.Path('/proc')",
        "above = (proc / str(os.getppid()) / 'stat').read_text().split()[3]\n"
        "for p in (os.getppid(), above): print((proc / str(p) / 'cmdline').read_bytes())",
        "print(os.environ.get('GIT_TOKEN'), os.environ['FLAVOUR'])",
        "print('tied:', os.environ.get('STEPKIT_PARENT_PID'), os.environ.get('STEPKIT_MASKED'))",
    )
    several.plan({"path": "01.ipynb", "env": {"FLAVOUR": "vanilla-7"}})
    secret = "tok-en-1234567890"
    flags = ("--plan=source/plan.yaml", "--report=out/reports/all.json", "--log-output=true")
    process = command(several, *flags, GIT_TOKEN=secret)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 0, stderr
    executed = (several.out / "01.ipynb").read_text()
    assert "None vanilla-7" in executed
    assert "tied: None None" in executed
    assert "execute-notebook\\\\x00" in executed
    assert executed.count("vanilla-7") == 1
    reports = "".join(path.read_text() for path in (several.out / "reports").iterdir())
    assert "vanilla-7" not in reports
    assert secret not in executed + reports + stdout + stderr
    assert "passed=1\n" in stdout


@pytest.mark.slow
def test_a_secret_that_a_notebook_reads_elsewhere_is_masked_in_its_report_and_log(
    several: Run,
) -> None:
    secret = "tok-en-1234567890"
    (several.directory / "token").write_text(secret)
    several.notebook("01", f"raise ValueError(open({str(several.directory / 'token')!r}).read())")

    process = command(several, "--notebooks=source/01.ipynb", "--log-output=true", GIT_TOKEN=secret)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 3
    assert several.report("01")["message"].endswith("raised ValueError: ***")
    assert secret not in (several.out / "reports/01.json").read_text() + stdout + stderr


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_a_child_that_hangs(several: Run) -> None:
    freeze = "os.kill(os.getppid(), signal.SIGSTOP)"
    several.notebook("01", f"import os, signal, time; {freeze}; open('on', 'w'); time.sleep(600)")
    process = command(several, "--notebooks=source/01.ipynb")
    wait_for(several.directory / "source/on", process)
    started = time.monotonic()

    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # or the two signals are one
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert time.monotonic() - started < batch_child.GRACE_SECONDS
    assert process.returncode == 130
    assert "stopped by SIGINT: 0 of 1 notebooks passed, 1 stopped" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    "report",
    [pytest.param("elsewhere.json", marks=pytest.mark.slow), "out/reports/named.json"],
)
def test_a_summary_of_the_reports_shows_notebooks_that_did_not_run(
    several: Run, report: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "needs-first", "needs-second", "left-out"):
        several.notebook(name, "1 / 0")
    plan = several.plan(
        {"path": "first.ipynb"},
        {"path": "needs-first.ipynb", "needs": ["first"]},
        {"path": "needs-second.ipynb", "needs": ["needs-first"]},
        {"path": "left-out.ipynb", "enabled": False, "reason": "slow"},
    )
    command = ["execute-notebooks", f"--plan={plan}", f"--directory={several.out}"]
    flags = ["--sampling=false", f"--report={several.directory / report}"]
    assert cli.main([*command, *flags]) == 3

    summary = several.directory / "SUMMARY.md"
    words = ["summarize", f"--reports={several.out}/reports", f"--summary={summary}"]
    assert cli.main(words) == 0

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("stepkit summarize: the run failed: ")
    page = summary.read_text()
    assert page.count(": 0 of 4 passed\n") == 1
    for row in (
        "| first | **failed** |",
        "| needs-first | not run |",
        "| needs-second | not run |",
        "| left-out | skipped |",
    ):
        assert row in page
    record = json.loads((several.directory / "run.json").read_text())
    run_records.validate(record)
    assert {(nb["name"], nb["status"], nb["reason"]) for nb in record["notebooks"]} == {
        ("first", "failed", "cell-error"),
        ("needs-first", "not-run", ""),
        ("needs-second", "not-run", ""),
        ("left-out", "skipped", ""),
    }
    assert record["cause"]["error"]["ename"] == "ZeroDivisionError"
