"""The facts of a kernel come from a file that the notebook's code can write, too."""

import json
import os
from pathlib import Path

import pytest

from stepkit.engine import read_kernel_facts
from stepkit.engine.read_kernel_facts import KernelFacts


def test_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    facts = {"python": "3.12.1", "cuda_runtime": "12.8", "cuda_driver": "13.0",
             "packages": {"scanpy": "1.11", "anndata": "0.12"}}  # fmt: skip
    (tmp_path / "facts.json").write_text(json.dumps(facts))

    found = read_kernel_facts.read(tmp_path / "facts.json")

    assert found == KernelFacts(**facts)  # type: ignore[arg-type]
    assert list(found.packages) == ["scanpy", "anndata"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "\ud800", "[" * 100_000, '{"python": "' + "x" * (1 << 20) + '"}'],
    ids=["empty", "list", "not UTF-8", "deep", "long"],
)
def test_what_is_no_object_is_no_facts(tmp_path: Path, text: str) -> None:
    (tmp_path / "facts.json").write_bytes(text.encode("utf-8", "surrogatepass"))

    assert read_kernel_facts.read(tmp_path / "facts.json") is None
    assert read_kernel_facts.read(tmp_path) is None
    assert read_kernel_facts.read(tmp_path / "missing") is None


def test_names_and_versions_that_are_none_are_left_out(tmp_path: Path) -> None:
    odd = {"a": 1, "b\n": "2", "c": "\x1b[1m", "d": "4" * 201, "": "5", "e": "", "f": "6"}
    (tmp_path / "facts.json").write_text(json.dumps({"python": 3, "packages": odd}))
    (tmp_path / "other.json").write_text(json.dumps({"packages": ["a"]}))

    assert read_kernel_facts.read(tmp_path / "facts.json") == KernelFacts(packages={"f": "6"})
    assert read_kernel_facts.read(tmp_path / "other.json") == KernelFacts()


def test_a_pipe_in_place_of_the_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "facts")

    assert read_kernel_facts.read(tmp_path / "facts") is None
