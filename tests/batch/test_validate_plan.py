import json
from pathlib import Path
from typing import Any

import pytest
from samples import write_notebook

from stepkit.batch import validate_plan
from stepkit.batch.planned_notebook import Places, Planned, Settings
from stepkit.errors import ConfigurationError, Reason


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(directory=tmp_path / "out", reports=tmp_path / "out/reports")


def planned(tmp_path: Path, name: str, **more: Any) -> Planned:
    return Planned(name=name, path=write_notebook(tmp_path / f"{name}.ipynb", "1"), **more)


def refused(places: Places, *plan: Planned) -> str:
    def both() -> None:
        validate_plan.check(plan)
        validate_plan.check_places(plan, places)

    with pytest.raises(ConfigurationError) as caught:
        both()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_valid_plan_is_accepted(tmp_path: Path, places: Places) -> None:
    (tmp_path / "data.csv").touch()
    one = planned(tmp_path, "one", outputs=("h5/a",), inputs=("data.csv",))
    two = planned(tmp_path, "two", needs=("one",))
    three = planned(tmp_path, "three", needs=("two",), inputs=("./h5/../h5/a",), outputs=("h5/a",))

    validate_plan.check([three, one, two])
    validate_plan.check_places([three, one, two], places)

    assert places.reports.is_dir()


def test_a_circle_is_named(tmp_path: Path, places: Places) -> None:
    plan = [
        planned(tmp_path, "free"),
        planned(tmp_path, "outside", needs=("a",)),
        planned(tmp_path, "a", needs=("free", "b")),
        planned(tmp_path, "b", needs=("a",)),
    ]

    assert refused(places, *plan) == "these notebooks wait for each other: a -> b -> a"
    itself = planned(tmp_path, "x", needs=("x",))
    assert refused(places, itself) == "these notebooks wait for each other: x -> x"


def test_an_unknown_need_is_named(tmp_path: Path, places: Places) -> None:
    plan = planned(tmp_path, "01_load"), planned(tmp_path, "02", needs=("01_laod",))

    assert refused(places, *plan) == (
        "02 needs '01_laod', which is not a notebook: did you mean 01_load?"
    )


def test_an_input_that_no_notebook_writes_is_an_error(tmp_path: Path, places: Places) -> None:
    two = planned(tmp_path, "02", inputs=("h5/x.h5ad",))

    assert refused(places, two).startswith(
        "02 reads h5/x.h5ad, which no notebook before it writes and which is not there"
    )


def test_the_notebook_that_writes_a_missing_input_is_suggested(
    tmp_path: Path, places: Places
) -> None:
    plan = planned(tmp_path, "01", outputs=("x",)), planned(tmp_path, "02", inputs=("x",))

    assert refused(places, *plan).endswith(": 01 writes it, add that to its needs")


def test_inputs_are_relative_to_the_working_directory(tmp_path: Path, places: Places) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").touch()
    there = Settings(cwd=tmp_path / "elsewhere")

    validate_plan.check([planned(tmp_path, "02", inputs=("x",), settings=there)])

    assert "02 reads x" in refused(places, planned(tmp_path, "02", inputs=("x",)))


def test_inputs_of_a_skipped_notebook_and_of_those_that_need_it_are_not_checked(
    tmp_path: Path,
) -> None:
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


def test_two_writers_of_one_file_must_wait_for_each_other(tmp_path: Path, places: Places) -> None:
    plan = planned(tmp_path, "01", outputs=("x",)), planned(tmp_path, "02", outputs=("./x",))

    assert refused(places, *plan) == "01 and 02 both write ./x, and neither needs the other"


def test_overwriting_a_notebook_is_refused(tmp_path: Path) -> None:
    one = planned(tmp_path, "one")
    places = Places(directory=tmp_path, reports=tmp_path / "reports")

    assert f"one would write over the notebook {one.path}" in refused(places, one)
    validate_plan.check_places(
        [one], Places(directory=tmp_path, reports=tmp_path / "reports", suffix="_lite")
    )


def test_overwriting_an_input_or_a_directory_is_refused(tmp_path: Path, places: Places) -> None:
    (tmp_path / "out/one.html").mkdir(parents=True)
    (tmp_path / "out/two.log").touch()
    two = planned(tmp_path, "two", inputs=("out/two.log",))

    assert "one.html is a directory" in refused(places, planned(tmp_path, "one"))
    assert "two would write over an input of two" in refused(places, two)


def test_the_files_of_changed_notebooks_overwrite_nothing(tmp_path: Path, places: Places) -> None:
    plan = planned(tmp_path, "a"), planned(tmp_path, "a.patched")

    assert "a.patched would write over a file of a" in refused(places, *plan)


def test_a_suffix_of_run_and_variant_is_added_once(tmp_path: Path) -> None:
    places = Places(directory=tmp_path, reports=tmp_path / "reports", suffix="_a")

    one = Planned(name="x", path=tmp_path / "x", suffix="_lite")
    assert places.executed(one).name == "x_a_lite.ipynb"
    same = Planned(name="x", path=tmp_path / "x", suffix="_a")
    assert places.report(same).name == "x_a.json"


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


def test_a_missing_rules_file_or_working_directory_is_refused(
    tmp_path: Path, places: Places
) -> None:
    (tmp_path / "rules.yaml").touch()
    rules = planned(tmp_path, "a", settings=Settings(rules=tmp_path / "ruels.yaml"))
    cwd = planned(tmp_path, "a", settings=Settings(cwd=tmp_path / "gone"))
    long = planned(tmp_path, "a", settings=Settings(rules=tmp_path / ("x" * 300)))

    with pytest.raises(ConfigurationError, match=r"did you mean rules\.yaml") as caught:
        validate_plan.check([rules])
    assert caught.value.reason == Reason.NOT_FOUND
    assert "there is no working directory" in refused(places, cwd)
    assert "cannot use a path: File name too long" in refused(places, long)
