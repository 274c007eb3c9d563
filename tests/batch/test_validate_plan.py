import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import refusal
from samples import write_notebook

from stepkit.batch import validate_plan
from stepkit.batch.planned_notebook import Places, Planned, Settings
from stepkit.errors import ConfigurationError, Reason


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(directory=tmp_path / "out", reports=tmp_path / "out/reports")


def planned(tmp_path: Path, name: str, **more: Any) -> Planned:
    return Planned(name=name, path=write_notebook(tmp_path / f"{name}.ipynb", "1"), **more)


def check(plan: Iterable[Planned], places: Places) -> None:
    validate_plan.check([*plan])
    validate_plan.check_places([*plan], places)


def refused(places: Places, *plan: Planned) -> str:
    return refusal(check, plan, places)


def test_a_valid_plan_is_accepted(tmp_path: Path, places: Places) -> None:
    (tmp_path / "data.csv").touch()
    one = planned(tmp_path, "one", outputs=("h5/a",), inputs=("data.csv",))
    two = planned(tmp_path, "two", needs=("one",))
    three = planned(tmp_path, "three", needs=("two",), inputs=("./h5/../h5/a",), outputs=("h5/a",))

    check([three, one, two], places)

    assert places.reports.is_dir()


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        pytest.param(
            {"free": {}, "outside": {"needs": ("a",)},
             "a": {"needs": ("free", "b")}, "b": {"needs": ("a",)}},
            "^these notebooks wait for each other: a -> b -> a$",
            id="a circle",
        ),
        pytest.param(
            {"x": {"needs": ("x",)}},
            "^these notebooks wait for each other: x -> x$",
            id="a notebook that needs itself",
        ),
        pytest.param(
            {"01_load": {}, "02": {"needs": ("01_laod",)}},
            r"^02 needs '01_laod', which is not a notebook: did you mean 01_load\?$",
            id="an unknown need",
        ),
        pytest.param(
            {"02": {"inputs": ("h5/x.h5ad",)}},
            "^02 reads h5/x.h5ad, which no notebook before it writes and which is not there",
            id="an input that no notebook writes",
        ),
        pytest.param(
            {"01": {"outputs": ("x",)}, "02": {"inputs": ("x",)}},
            ": 01 writes it, add that to its needs$",
            id="an input of a notebook that is not among the needs",
        ),
        pytest.param(
            {"01": {"outputs": ("x",)}, "02": {"outputs": ("./x",)}},
            "^01 and 02 both write ./x, and neither needs the other$",
            id="two writers of one file",
        ),
        pytest.param(
            {"a": {}, "a.patched": {}},
            "a.patched would write over a file of a",
            id="a file of a changed notebook",
        ),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_work_is_refused(
    tmp_path: Path, places: Places, plan: dict[str, Any], problem: str
) -> None:
    notebooks = [planned(tmp_path, name, **more) for name, more in plan.items()]

    assert re.search(problem, refused(places, *notebooks))


def test_inputs_are_relative_to_the_working_directory(tmp_path: Path, places: Places) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").touch()
    there = Settings(cwd=tmp_path / "elsewhere")

    validate_plan.check([planned(tmp_path, "02", inputs=("x",), settings=there)])

    assert "02 reads x" in refused(places, planned(tmp_path, "02", inputs=("x",)))


def test_inputs_that_a_skipped_notebook_would_write_are_not_checked(tmp_path: Path) -> None:
    skipped = Planned(name="01", path=tmp_path / "gone.ipynb", exempt="broken", outputs=("x",))
    second = planned(tmp_path, "02", needs=("01",), inputs=("x", "y"))

    validate_plan.check([skipped, second])


@pytest.mark.parametrize("content", [None, "", "no notebook"])
def test_a_file_that_is_not_a_notebook_is_refused(
    tmp_path: Path, places: Places, content: str | None
) -> None:
    path = tmp_path / "02.ipynb"
    if content is not None:
        path.write_text(content)

    assert "02.ipynb" in refused(places, planned(tmp_path, "01"), Planned(name="02", path=path))
    assert not places.directory.exists()


def test_two_notebooks_with_the_same_name_are_refused(tmp_path: Path, places: Places) -> None:
    plan = planned(tmp_path / "a", "same"), planned(tmp_path / "b", "same")

    assert "would both be called 'same': give them names in a --plan" in refused(places, *plan)


@pytest.mark.parametrize("name", ["a/b", ".hidden", "a\nb", "a\x1b[0m", ".."])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, places: Places, name: str) -> None:
    one = Planned(name=name, path=write_notebook(tmp_path / "a.ipynb", "1"))

    assert "cannot be the name of a notebook" in refused(places, one)


def test_overwriting_a_notebook_is_refused(tmp_path: Path) -> None:
    one = planned(tmp_path, "one")
    places = Places(directory=tmp_path, reports=tmp_path / "reports")

    assert f"one would write over the notebook {one.path}" in refused(places, one)
    validate_plan.check_places([one], replace(places, suffix="_lite"))


def test_overwriting_an_input_or_a_directory_is_refused(tmp_path: Path, places: Places) -> None:
    (tmp_path / "out/one.html").mkdir(parents=True)
    (tmp_path / "out/two.log").touch()
    two = planned(tmp_path, "two", inputs=("out/two.log",))

    assert "one.html is a directory" in refused(places, planned(tmp_path, "one"))
    assert "two would write over an input of two" in refused(places, two)


def test_a_suffix_of_run_and_variant_is_added_once(tmp_path: Path) -> None:
    places = Places(directory=tmp_path, reports=tmp_path / "reports", suffix="_a")

    one = Planned(name="x", path=tmp_path / "x", suffix="_lite")
    assert places.executed(one).name == "x_a_lite.ipynb"
    assert places.report(Planned(name="x", path=tmp_path / "x", suffix="_a")).name == "x_a.json"


def test_two_names_of_the_same_file_are_refused(tmp_path: Path) -> None:
    places = Places(directory=tmp_path / "out", reports=tmp_path / "out", suffix="")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.ipynb").symlink_to("b.ipynb")

    plan = planned(tmp_path, "a"), planned(tmp_path, "b")

    assert "b would write over a file of a" in refused(places, *plan)


@pytest.mark.parametrize(
    ("content", "whose"),
    [
        ('{"step": "git-clone"}', "the report of git-clone"),
        ("{", "not a report"),
        ("[]", "not a report"),
    ],
)
def test_overwriting_the_report_of_another_step_is_refused(
    tmp_path: Path, places: Places, content: str, whose: str
) -> None:
    places.reports.mkdir(parents=True)
    report = places.reports / "one.json"
    report.write_text(content)

    assert f"one.json exists and is {whose}" in refused(places, planned(tmp_path, "one"))
    assert report.read_text() == content
    report.write_text(json.dumps({"step": "execute-notebook"}))
    validate_plan.check_places([planned(tmp_path, "one")], places)


def test_a_missing_rules_file_or_directory_is_refused(tmp_path: Path, places: Places) -> None:
    (tmp_path / "rules.yaml").touch()
    rules = planned(tmp_path, "a", settings=Settings(rules=tmp_path / "ruels.yaml"))
    cwd = planned(tmp_path, "a", settings=Settings(cwd=tmp_path / "gone"))
    long = planned(tmp_path, "a", settings=Settings(rules=tmp_path / ("x" * 300)))

    with pytest.raises(ConfigurationError, match=r"did you mean rules\.yaml") as caught:
        validate_plan.check([rules])
    assert caught.value.reason == Reason.NOT_FOUND
    assert "there is no working directory" in refused(places, cwd)
    assert "cannot use a path: File name too long" in refused(places, long)
