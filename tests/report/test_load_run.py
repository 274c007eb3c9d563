"""run.json is found in a run's directory, and refused in one line if it is not a whole record."""

import json
from pathlib import Path

import pytest
import run_records

from stepkit.errors import ConfigurationError, Reason
from stepkit.report.load_run import load_run, parse_run


def written(path: Path, **values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**run_records.run(), **values}))
    return path


@pytest.mark.parametrize("place", ["run.json", "artifacts/run.json", "artifacts/run_lite.json"])
def test_a_record_is_found_in_the_directory_of_its_run(tmp_path: Path, place: str) -> None:
    path = written(tmp_path / place)

    assert load_run(tmp_path) == load_run(path) == run_records.run()


def test_of_the_records_of_several_variants_one_must_be_named(tmp_path: Path) -> None:
    for name in ("run_full.json", "run_lite.json"):
        written(tmp_path / "artifacts" / name)

    expected = r"has several records: name one of artifacts/run_full.json, artifacts/run_lite.json"
    with pytest.raises(ConfigurationError, match=expected):
        load_run(tmp_path)


def test_a_directory_without_a_record_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no run\.json in .*`stepkit summarize`") as found:
        load_run(tmp_path)

    assert found.value.reason is Reason.NOT_FOUND


def test_a_path_that_does_not_exist_names_what_is_beside_it(tmp_path: Path) -> None:
    written(tmp_path / "run.json")

    with pytest.raises(ConfigurationError, match=r"no run at .*ran\.json \(did you mean run\.jso"):
        load_run(tmp_path / "ran.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a is empty"),
        (b'{"schema": "stepkit.run/1", "ti', "a is not whole: Unterminated string"),
        (b"[" * 100_000, "a nests too deep"),
        (b'{"a": "\xff\xfe"}', "a is not whole: 'utf-8' codec can't decode"),
        (b"[]", r"a is not the record of a run \(stepkit.run/1\): it has no schema"),
        (b'{"schema": 1}', "a is not the record of a run .*: it has no schema"),
        (b'{"schema": "stepkit.report/2"}', "a is not .*: its schema is 'stepkit.report/2'"),
        (b'{"schema": "\\u001b[2J"}', r"a is not .*: its schema is '\\x1b\[2J'"),
        (b'{"schema": "stepkit.run/0"}', "a is not the record of a run"),
        (b'{"schema": "stepkit.run/2"}', r"a is a record of a later version \(stepkit.run/2\)"),
        (b'{"schema": "stepkit.run/1"}', "a: the record needs title and identity and"),
    ],
)
def test_what_is_not_a_whole_record_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as found:
        parse_run(content, "a")

    assert len(str(found.value)) < 500


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"verdict": "maybe"}, "verdict"),
        ({"duration_ms": float("nan")}, "duration_ms must be a whole number or null"),
        ({"tests": [run_records.tests(coverage=float("inf"))]}, r"tests\[0\]\.coverage must be a"),
        ({"steps": [{"name": 3}]}, r"steps\[0\] needs command"),
    ],
)
def test_a_field_of_the_wrong_shape_is_named(
    tmp_path: Path, values: dict[str, object], message: str
) -> None:
    path = written(tmp_path / "run.json", **values)

    with pytest.raises(ConfigurationError, match=message):
        load_run(path)


@pytest.mark.parametrize(
    ("field", "place", "message"),
    [
        ("notebook", 1, r"cause\.notebook 1 is not in notebooks"),
        ("notebook", -1, r"cause\.notebook -1 is not in notebooks"),
        ("cell", 99, r"cause\.cell 99 is not in its notebook"),
    ],
)
def test_a_cause_must_be_in_the_record(
    tmp_path: Path, field: str, place: int, message: str
) -> None:
    cause: dict[str, object] = {**(run_records.failed()["cause"] or {})}
    path = written(tmp_path / "run.json", cause={**cause, field: place})

    with pytest.raises(ConfigurationError, match=message):
        load_run(path)


def test_a_record_that_was_written_before_a_field_was_added_is_read(tmp_path: Path) -> None:
    record = run_records.run()
    path = written(tmp_path / "run.json")
    data = json.loads(path.read_text())
    for one in (data, *data["notebooks"], *(c for n in data["notebooks"] for c in n["cells"])):
        del one["gpu_hours"], one["gpu_idle"]
    for one in data["notebooks"]:
        del one["rules"], one["parameters"]
    path.write_text(json.dumps(data))

    read = load_run(path)

    assert sorted(read) == sorted(record)
    assert read["gpu_hours"] is None
    assert read["notebooks"][0]["parameters"] == {}
    assert read["notebooks"][0]["cells"][0]["gpu_idle"] is None
