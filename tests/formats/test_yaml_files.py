import math
from pathlib import Path
from typing import Any

import pytest
from refusals import refusal

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import yaml_files


def read(directory: Path, text: str | bytes) -> yaml_files.Document:
    path = directory / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return yaml_files.read(path)


def refused(directory: Path, text: str | bytes) -> str:
    message = refusal(read, directory, text)
    assert message.startswith(str(directory / "a.yaml"))
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing yet", None),
        ("~", None),
        ("\ufeffa: 1", {"a": 1}),
        ("[true, null, -.inf, 1e5, 0x1F, 0o17, 1_000, 2024-01-31, a: b]",
         [True, None, -math.inf, 1e5, 31, 15, 1000, "2024-01-31", {"a": "b"}]),
        ("['no', \"007\", !!str 1]", ["no", "007", "1"]),
        ("- &k {a: 1, b: 2}\n- {<<: *k, b: 3}", [{"a": 1, "b": 2}, {"a": 1, "b": 3}]),
    ],
)  # fmt: skip
def test_values_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    assert read(tmp_path, text).value == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("b: 1\na: [", "line 2: not valid YAML: expected the node content"),
        ("b: 1\na: 1\nb: 2", "line 3: the key 'b' is given twice"),
        ("a: {1: 2}", "line 1: the key '1' is not text: put it in quotes"),
        ("a: {? [b] : 2}", "the key is not text"),
        ("on: 1", "readers of YAML disagree on on"),
        ("\na: no", "line 2: readers of YAML disagree on no: put it in quotes"),
        ("a: 007", "readers of YAML disagree on 007"),
        ("a: 1:30", "readers of YAML disagree on 1:30"),
        ("a: !!binary aGk=", "tag:yaml.org,2002:binary is not allowed here"),
        ("a: !!timestamp 2024-01-01", "is not allowed here"),
        ("a: !!python/name:os.system x", "is not allowed here"),
        ("a: !!int x", "'x' is not a number"),
        ("a: !!int 1:30", "'1:30' is not a number"),
        ("a: !!bool x", "'x' is not true or false"),
        ("a: !!bool [x]", "line 1: not valid YAML: expected a scalar node"),
        (f"a: {'9' * 5000}", "this number has more than 400 digits"),
        ('a: "\\0"', "a NUL byte or half a character"),
        ('a: "\\ud800"', "a NUL byte or half a character"),
        (r'a: "\UFFFFFFFF"', "not valid YAML"),
        ("a: \x01", "not valid YAML: special characters"),
        (b"a: \xff", "is not UTF-8 text"),
        (b"#" * 2**20 + b"#", "is larger than 1 MiB"),
        ("a: &a [*a]", "this refers to itself"),
        ("\n" + "[" * 80 + "]" * 80, "line 2: this is nested too deeply"),
        ("[" * 600, "nested too deeply"),
        ("- a\n---\n- b", "line 3: a second document starts here"),
    ],
    ids=range(26),
)
def test_a_mistake_has_its_file_and_line(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert problem in refused(tmp_path, text)


def test_a_small_file_that_stands_for_billions_of_values_is_refused(tmp_path: Path) -> None:
    text = "a: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 30):
        text += f"b{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"

    assert "line 1: with its aliases this holds more than 100000" in refused(tmp_path, text)


def test_every_value_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n- x\n- b: 1\n  c: 2\n")

    lines = [
        document.place(keys).rpartition(" ")[2]
        for keys in ((), ("a", 0), ("a", 1, "c"), ("a", 9), ("a", "b"), ("none", 1))
    ]
    assert lines == ["1", "2", "4", "2", "2", "1"]
    assert yaml_files.Document(tmp_path, None, None).place(("a",)) == f"{tmp_path}, line 1"


def test_for_a_missing_file_a_similar_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").touch()

    with pytest.raises(ConfigurationError, match=r"no file .*plam\.yaml \(did you mean plan") as no:
        yaml_files.read(tmp_path / "plam.yaml")
    assert no.value.reason == Reason.NOT_FOUND
    assert "it is not a regular file" in refusal(yaml_files.read, tmp_path)


def test_manifests_are_read_as_a_kubernetes_client_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [y, off, 1:30, 010, <<]\n---\n---\nb: '1'\n")

    first, empty, last = yaml_files.read_manifests(tmp_path / "a.yaml")

    assert first.value == {"a": [True, False, "1:30", 8, "<<"]}
    assert empty.value is None
    assert last.value == {"b": "1"}
    assert last.place(("b",)) == f"{tmp_path}/a.yaml, line 4"


def test_a_merge_or_a_number_of_more_than_64_bits_is_refused_in_a_manifest(tmp_path: Path) -> None:
    for text, problem in (
        ("a: 0x1ffffffffffffffff", "more than 64 bits"),
        ("a: {!!merge <<: {b: 1}}", "the key '<<' is not text"),
    ):
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(ConfigurationError, match=problem):
            yaml_files.read_manifests(tmp_path / "a.yaml")
