"""Rows L: what tries to look good does not, and its nearest honest twin passes."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import nbformat
import pytest
from data_server import DataServer, Reply, flip, serving
from faults.harness import Fault, lies, row
from faults.test_downloads import CONTENT, SHA256, is_whole
from faults.test_git import clone
from faults.test_test_suites import run_tests
from samples import Origin
from step_reports import write_report


def of(step: str) -> list[str]:
    return [number for number, lie in lies().items() if lie["step"] == step]


@pytest.fixture
def case(fault: Fault) -> dict[str, Any]:
    """Return what lies.yaml says of the case."""
    found: dict[str, Any] = lies()[fault.number]["cases"][fault.case]
    return found


def write_notebook(path: Path, cells: list[str | dict[str, Any]], **more: Any) -> Path:
    """Write a notebook; a cell is its code, or what an empty cell lacks, and gets ``more``."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    for number, given in enumerate(cells):
        fields = {"source": given} if isinstance(given, str) else given
        book.cells.append(nbformat.v4.new_code_cell(id=f"cell-{number}", **fields, **more))
    nbformat.write(nbformat.from_dict(book), path)
    return path


def flags(case: dict[str, Any]) -> list[str]:
    found: list[str] = case.get("flags", [])
    return found


@row(*of("execute-notebook"))
def test_a_notebook_that_tries_to_look_good(fault: Fault, case: dict[str, Any]) -> None:
    for name, text in case.get("files", {}).items():
        (fault.directory / name).write_text(text)
    if "golden" in case:
        printed = nbformat.v4.new_output("stream", name="stdout", text=f"{case['golden']}\n")
        write_notebook(fault.directory / "golden.ipynb", case["cells"], outputs=[printed])
    notebook = write_notebook(fault.directory / "a.ipynb", case["cells"])

    arguments = ("--notebook", str(notebook), "--output", "out.ipynb", *flags(case))
    done = fault.run(*arguments, env=case.get("env"))

    printed = re.findall(
        r"(?m)^\W*(?:::notice::passed|##\[|::stop|execute-notebook).*", done.stderr
    )
    assert not printed


@row(*of("execute-notebooks"))
def test_a_batch_that_tries_to_look_good(fault: Fault, case: dict[str, Any]) -> None:
    write_notebook(fault.directory / "a.ipynb", case["cells"])
    write_notebook(fault.directory / "b.ipynb", ["1 / 0"] if fault.case == "lie" else ["1"])

    fault.run("--notebooks", "a.ipynb", "b.ipynb", "--directory", "out")


@row(*of("run-tests"))
def test_a_suite_of_tests_that_tries_to_look_good(fault: Fault, case: dict[str, Any]) -> None:
    run_tests(fault, case["tests"], *flags(case), files=case.get("files"), env=case.get("env"))


def vouched(reply: Reply) -> Reply:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return flip(reply).having(ETag=f'"{digest}"', X_Checksum_Sha256=digest)


def page(_: Reply) -> Reply:
    text = b"<html>please log in</html>".ljust(len(CONTENT))
    return Reply(body=text).having(Content_Type="text/html")


@pytest.fixture
def server() -> Iterator[DataServer]:
    with serving(CONTENT) as server:
        yield server


@row(*of("download-dataset"))
def test_a_server_that_tries_to_look_good(
    fault: Fault, case: dict[str, Any], server: DataServer
) -> None:
    server.always = {"page": page, "vouched": vouched}.get(case["serves"], server.always)
    place = fault.place("data/census.bin", is_whole)

    url = f"--url={server.url}/census.bin"
    fault.run(
        url, f"--sha256={SHA256}", f"--size={len(CONTENT)}", "--directory=data", "--attempts=2"
    )

    assert place.exists() == (fault.case == "honest")


@row(*of("git-clone"))
def test_a_branch_with_the_name_of_a_commit(fault: Fault, origin: Origin) -> None:
    asked = origin.head
    if fault.case == "lie":
        asked = "0123456789" * 4
        origin.git("update-ref", f"refs/heads/{asked}", origin.head)

    assert clone(fault, origin.url, "--revision", asked) in {"", asked}


@row(*of("summarize"))
def test_a_run_that_tries_to_look_good(fault: Fault, case: dict[str, Any]) -> None:
    for name in ("run.json", "STEP_SUMMARY.md", "report.html"):
        (fault.directory / name).write_text("passed, says the notebook")
    for name, fields in case["reports"].items():
        write_report(fault.directory / "reports", name, **fields)

    fault.run("--reports=reports", "--summary=STEP_SUMMARY.md", "--enforce", *flags(case))

    for name in ("run.json", "STEP_SUMMARY.md", "report.html"):
        assert "says the notebook" not in (fault.directory / name).read_text()


@row(*of("check-environment"))
def test_a_program_that_shows_a_gpu(fault: Fault, case: dict[str, Any]) -> None:
    fake = fault.directory / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n")
    fake.chmod(0o755)
    assert commands.run(fake).stdout.startswith("GPU 0")

    fault.run(*flags(case), env={"PATH": f"{fault.directory}:/usr/bin:/bin"})


@row(*of("collect-artifacts"))
def test_an_artifact_of_another_run(fault: Fault, case: dict[str, Any]) -> None:
    (fault.directory / "out").mkdir()
    (fault.directory / "earlier.html").write_text("<html>passed</html>")
    if case["link"]:
        (fault.directory / "out/page.html").symlink_to("../earlier.html")
    else:
        (fault.directory / "out/page.html").write_text("<html>passed</html>")

    fault.run("--artifacts=out", "--expect", "page.html")
