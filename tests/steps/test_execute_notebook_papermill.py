"""The command lines that papermill documents run as they stand, with stepkit's name in front."""

import os
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import commands
import nbformat
import pytest
from object_storage_server import Storage, serving

README = str(metadata.metadata("papermill").json["description"])
LINES = [
    found.removeprefix("AWS_PROFILE=dev_account ")
    for block in re.findall(r"```\{\.sourceCode \.bash\}\n(.*?)```", README, re.DOTALL)
    for found in re.findall(r"^\$ (.*)", block, re.DOTALL | re.MULTILINE)
    if "papermill " in found
]


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        storage.bucket("bkt")
        yield storage


@pytest.fixture
def environment(tmp_path: Path, storage: Storage) -> dict[str, str]:
    """Write the files that papermill's examples name; return the environment of a command."""
    names = ["alpha", "l1_ratio", "version", "x", "linear_function"]
    nb = nbformat.v4.new_notebook()
    nb.metadata.kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    assigned = nbformat.v4.new_code_cell("\n".join(f"{name} = None" for name in names))
    assigned.metadata.tags = ["parameters"]
    shown = f"print({{n: v for n, v in globals().items() if n in {names} and v is not None}})"
    nb.cells = [assigned, nbformat.v4.new_code_cell(shown)]
    (tmp_path / "local").mkdir()
    nbformat.write(nb, tmp_path / "local/input.ipynb")
    (tmp_path / "parameters.yaml").write_text("alpha: 0.6\nl1_ratio: 0.1\n")
    keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}
    return {**os.environ, **keys, "AWS_ENDPOINT_URL": storage.url, "TMPDIR": str(tmp_path)}


def test_papermills_readme_has_examples() -> None:
    assert len(LINES) >= 7
    assert {flag for flag in ("-p", "-r", "-f", "-y", "-b") if any(flag in s for s in LINES)} == {
        "-p", "-r", "-f", "-y", "-b",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_an_example_of_papermills_readme_runs(
    tmp_path: Path, environment: dict[str, str], storage: Storage, line: str
) -> None:
    name, *words = shlex.split(line)
    assert (name, words[:2]) == ("papermill", ["local/input.ipynb", "s3://bkt/output.ipynb"])
    expected = {"alpha": 0.6, "l1_ratio": 0.1}
    if "-r" in words:
        expected = {"version": "1.0"}  # type: ignore[dict-item]
    if "linear_function" in line:
        function = {"slope": 3.0, "intercept": 1.0}
        expected = {"x": [0.0, 1.0, 2.0, 3.0], "linear_function": function}  # type: ignore[dict-item]

    done = commands.stepkit("execute-notebook", *words, cwd=tmp_path, env=environment)

    assert done.returncode == 0, done.stderr
    nb = nbformat.reads(storage.get("bkt/output.ipynb")[0].decode(), as_version=4)
    assert "".join(out.text for cell in nb.cells for out in cell.outputs) == f"{expected}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "local/input.ipynb out.ipynb -k python3 -l python --cwd local --no-progress-bar",
        "--log-output --log-level INFO local/input.ipynb out.ipynb --no-report-mode",
        "--progress-bar local/input.ipynb out.ipynb --start-timeout 60 --execution-timeout 60",
        "--autosave-cell-every 30 local/input.ipynb out.ipynb --report-mode --start_timeout 60",
        "-f parameters.yaml local/input.ipynb out.ipynb --stdout-file o --stderr-file e",
        "local/input.ipynb out.ipynb --parameters alpha 0.6 --parameters_raw version 1.0",
        "--inject-paths local/input.ipynb out.ipynb --log-level WARNING --no-log-output",
        "--inject-input-path --inject-output-path local/input.ipynb out.ipynb",
    ],
)
def test_papermills_options_are_taken(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    done = commands.stepkit("execute-notebook", *words.split(), cwd=tmp_path, env=environment)

    assert done.returncode == 0, done.stderr
    nb = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    printed = "".join(out.text for out in nb.cells[-1].outputs)
    assert ("'alpha': 0.6" in printed) == ("parameters" in words)
    assert ("'version': '1.0'" in printed) == ("parameters_raw" in words)
    injected = next((cell.source for cell in nb.cells if "PAPERMILL_" in cell.source), "")
    assert ("PAPERMILL_INPUT_PATH = " in injected) == ("--inject" in words)
    assert (tmp_path / "o").exists() == ("--stdout-file" in words)
    assert nb.cells[0].metadata.get("jupyter", {}).get("source_hidden", False) == (
        "--report-mode" in words
    )
