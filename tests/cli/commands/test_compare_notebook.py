"""`stepkit compare-notebook` says which outputs are not the golden ones."""

from pathlib import Path

import commands
import junit_files
import pytest
from golden_notebooks import cell, printed, write

from stepkit.cli.commands.compare_notebook import Options, run
from stepkit.errors import ConfigurationError, Reason, UserCodeError


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return write(tmp_path / "golden.ipynb", cell("a", printed("one\n1.0")), cell("b"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path / "new.ipynb", cell("a", printed("one\n1.5")), cell("b"))


def test_a_difference_is_a_diff_on_stdout_and_ends_with_exit_code_3(
    golden: Path, new: Path
) -> None:
    done = commands.stepkit("compare-notebook", golden, new)

    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "cell 1 (`a`), stdout",
        "1.5 is not 1.0 (50 % off, rtol 1e-09)",
        " one",
        "-1.0",
        "+1.5",
    ]
    assert done.stderr.endswith("(50 % off, rtol 1e-09) [outputs-differ]\n")


def test_flags_and_rules_say_what_may_differ(golden: Path, new: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("compare: {rtol: 0.1, atol: 0.01}")

    with pytest.raises(UserCodeError) as caught:
        run(Options(golden=golden, notebook=new, rules=tmp_path / "rules.yaml"))

    assert caught.value.reason == Reason.OUTPUTS_DIFFER
    assert "rtol 0.1, atol 0.01" in str(caught.value)
    accepted = run(Options(golden=golden, notebook=new, rules=tmp_path / "rules.yaml", rtol=0.5))
    assert accepted.text == f"2 cells as in {golden}, 1 value within the limits"
    assert accepted.text == accepted.message


def test_each_cell_is_a_test_case(golden: Path, new: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "compare: {cells: [{cells: {index: 2}, ignore: true, reason: no seed}]}"
    )
    options = Options(
        golden=golden, notebook=new, rules=tmp_path / "rules.yaml", junit=tmp_path / "junit.xml"
    )

    with pytest.raises(UserCodeError):
        run(options)

    (suite,) = junit_files.suites(tmp_path / "junit.xml")
    (differs, skipped) = suite
    assert (differs.name, skipped.name) == ("cell 1: a", "cell 2")
    (failure,) = differs.result
    assert (failure.type, failure.message) == (
        "outputs-differ",
        "stdout: 1.5 is not 1.0 (50 % off, rtol 1e-09)",
    )
    assert failure.text.endswith("\n one\n-1.0\n+1.5")
    assert skipped.result[0].message == "no seed"


def test_accept_makes_the_notebook_the_golden_one(golden: Path, new: Path, tmp_path: Path) -> None:
    accepted = run(Options(golden=golden, notebook=new, accept=True))

    assert accepted.text == f"{golden} has the outputs of {new}"
    assert run(Options(golden=golden, notebook=new)).text == f"2 cells as in {golden}"
    first = tmp_path / "new/golden.ipynb"
    run(Options(golden=first, notebook=new, accept=True))
    assert first.is_file()


def test_a_golden_notebook_that_is_not_there_is_refused_with_the_nearest_name(
    golden: Path, new: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(Options(golden=golden.with_name("goldn.ipynb"), notebook=new))

    assert caught.value.reason == Reason.NOT_FOUND
    assert "golden.ipynb" in str(caught.value)
