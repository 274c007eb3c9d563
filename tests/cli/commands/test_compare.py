"""`stepkit compare` says how a run differs from an earlier one."""

import json
import re
from pathlib import Path

import commands
import pytest
import run_records

from stepkit.cli.commands import compare
from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.report.run_json import RunJson


def write(path: Path, run: RunJson) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run))
    return path


def run_of(milliseconds: int, **values: object) -> RunJson:
    cells = [run_records.cell(11, duration_ms=milliseconds)]
    return run_records.run(notebooks=[run_records.notebook(cells=cells)], **values)


def test_the_differences_are_a_table_on_stdout_and_nothing_else_is_said(tmp_path: Path) -> None:
    before = write(tmp_path / "run-6/artifacts/run.json", run_of(10_000))
    write(tmp_path / "run-7/run.json", run_of(16_000))

    done = commands.stepkit("compare", str(before), str(tmp_path / "run-7"))

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "against run-20261130-101500 (97959ef3c1a9): slower: scrna_preprocessing, cell 11"
    )
    cell = next(line for line in lines[1:] if "cell 11 (rsc.tl.umap(adata))" in line)
    assert re.split(" {2,}", cell)[1:] == ["10.0 s", "16.0 s (1.60x)", "slower"]


def test_a_regression_ends_with_exit_code_3_and_the_table_all_the_same(tmp_path: Path) -> None:
    before = write(tmp_path / "a/run.json", run_of(10_000))
    now = write(tmp_path / "b/run.json", run_of(16_000))

    done = commands.stepkit("compare", str(before), str(now), "--fail-on", "slower=1.5x", "--json")

    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert (report["reason"], report["status"]) == ("regression", "failed")
    cell = "scrna_preprocessing, cell 11 (rsc.tl.umap(adata))"
    assert report["outputs"]["comparison"]["regressions"] == [
        f"{cell}: 16.0 s, 1.60 times the 10.0 s of the baseline (1.5 is allowed)"
    ]
    assert report["message"] == report["outputs"]["comparison"]["regressions"][0]


def test_what_the_limits_allow_does_not_fail(tmp_path: Path) -> None:
    before = write(tmp_path / "a/run.json", run_of(10_000))
    now = write(tmp_path / "b/run.json", run_of(16_000))

    found = compare.run(
        compare.Options(baseline=str(before), run=str(now), fail_on="slower=2,memory=1.1x")
    )

    assert found.comparison
    assert found.comparison["regressions"] == []


def test_a_limit_below_that_of_the_table_counts(tmp_path: Path) -> None:
    before = write(tmp_path / "a/run.json", run_of(10_000))
    now = write(tmp_path / "b/run.json", run_of(11_500))

    with pytest.raises(UserCodeError, match=r"11\.5 s, 1\.15 times the 10\.0 s") as caught:
        compare.run(compare.Options(baseline=str(before), run=str(now), fail_on="slower=1.1x"))

    assert caught.value.reason == Reason.REGRESSION


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow=1.5x", r"--fail-on 'slow=1\.5x' is not one of .*: did you mean slower\?"),
        ("slower", "--fail-on 'slower' is not one of slower=1.5x, memory=1.5x and no-baseline"),
        ("slower=fast", "--fail-on slower=fast: write a ratio to the baseline above 1"),
        ("memory=1x", "--fail-on memory=1x: write a ratio"),
        ("slower=nan", "--fail-on slower=nan: write a ratio"),
        ("slower=inf", "--fail-on slower=inf: write a ratio"),
    ],
)
def test_a_wrong_limit_is_refused_before_a_run_is_read(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        compare.run(compare.Options(baseline="/none", run="/none", fail_on=text))


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no run at /none/run") as caught:
        compare.run(compare.Options(baseline=str(tmp_path), run="/none/run.json"))

    assert caught.value.reason == Reason.NOT_FOUND
