"""`stepkit init` writes files that work, and leaves what exists as it is."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from commands import run
from nbformat.v4 import new_code_cell, new_notebook

from stepkit.cli import config_file
from stepkit.cli import main as cli
from stepkit.cli.commands import init
from stepkit.errors import ConfigurationError
from stepkit.formats import json_schema
from stepkit.rules import rules_file

ROOT = Path(__file__).parents[3]


def notebook(path: Path, parameters: str = "", code: str = "x = 1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(code)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    notebook(root / "notebooks/a.ipynb", "n = 5\nname: str = 'x'\nb = compute()\napi_key = 'k1'")
    notebook(root / "notebooks/b: c.ipynb")
    notebook(root / "notebooks/.ipynb_checkpoints/a-checkpoint.ipynb")
    (root / "notebooks/broken.ipynb").write_text("{")
    (root / "test_analysis.py").write_text(
        "from pathlib import Path\n\n\ndef test_it():\n    assert Path('input/a.html').exists()\n"
    )
    run("git", "init", "-q", root)
    run("git", "-C", root, "remote", "add", "origin", "https://me:p4ss@example.org/me/nb.git")
    monkeypatch.chdir(root)
    return root


def test_what_the_repository_has_is_written_with_comments(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init"]) == 0

    err = capsys.readouterr().err
    assert "WARNING left out: notebooks/broken.ipynb" in err
    assert "notebooks found: 2, files written: 4" in err
    text = (repository / "stepkit.yaml").read_text()
    assert "# parameters:\n#   notebooks/a.ipynb: {n: 5, name: x}\n" in text
    assert "k1" not in text
    config = config_file.read(Path("stepkit.yaml"))
    assert config.notebooks == ("notebooks/a.ipynb", "notebooks/b: c.ipynb")
    assert (config.rules, config.tests) == (Path("stepkit-rules.yaml"), Path())
    assert (config.execution_timeout, config.run_timeout) == (1800, 7200)
    assert rules_file.load(Path("stepkit-rules.yaml")).rules == ()


def test_what_is_commented_out_is_valid_too(repository: Path) -> None:
    init.run(init.Options())

    for name in ("stepkit.yaml", "stepkit-rules.yaml"):
        lines = (repository / name).read_text().splitlines()
        begin = next(n for n, line in enumerate(lines) if line.startswith(("# rules:", "# param")))
        used = [line.removeprefix("# ") if n >= begin and ":" in line else line
                for n, line in enumerate(lines)]  # fmt: skip
        used = [line for line in used if not line.startswith(("Values", "What", "Changes"))]
        (repository / name).write_text("\n".join(used))

    assert config_file.read(Path("stepkit.yaml")).defaults["execute-notebooks"]["jobs"] == 2
    assert len(rules_file.load(Path("stepkit-rules.yaml")).rules) == 3


def test_files_that_exist_are_kept(repository: Path) -> None:
    (repository / "stepkit.yaml").write_text("mine")
    (repository / ".gitlab-ci.yml").symlink_to("nowhere")

    outputs = init.run(init.Options(ci="gitlab"))

    assert outputs.kept == (Path("stepkit.yaml"), Path(".gitlab-ci.yml"))
    assert outputs.written[0] == Path("stepkit-rules.yaml")
    assert (repository / "stepkit.yaml").read_text() == "mine"
    assert not (repository / "nowhere").exists()
    assert outputs.message == "notebooks found: 2, files written: 3, kept as they were: 2"


def test_an_editor_is_given_the_schemas(repository: Path) -> None:
    init.run(init.Options())

    for name in ("stepkit.yaml", "stepkit-rules.yaml"):
        first, *_ = (repository / name).read_text().splitlines()
        schema = repository / first.removeprefix("# yaml-language-server: $schema=")
        value = yaml.safe_load((repository / name).read_text()) or {}
        assert json_schema.find_problems(value, schema) == []
        assert json.loads(schema.read_text())["additionalProperties"] is False


def test_more_than_twenty_notebooks_are_written_as_patterns(repository: Path) -> None:
    for number in range(20):
        (repository / f"notebooks/n{number}.ipynb").write_bytes(
            (repository / "notebooks/a.ipynb").read_bytes()
        )

    init.run(init.Options())

    assert config_file.read(Path("stepkit.yaml")).notebooks == ("notebooks/*.ipynb",)


def test_a_run_on_tekton_has_params_that_its_pipeline_knows(repository: Path) -> None:
    init.run(init.Options(ci="tekton"))

    text = (repository / "notebook-run.yaml").read_text()
    assert "p4ss" not in text
    spec = yaml.safe_load(text)["spec"]
    given = {param["name"]: param["value"] for param in spec["params"]}
    assert given["notebooks-url"] == given["tests-url"] == "https://example.org/me/nb.git"
    assert given["notebook"] == "notebooks/a.ipynb"
    pipeline = yaml.safe_load((ROOT / "tasks/pipelines/notebook-ci.yaml").read_text())["spec"]
    known = {param["name"]: param for param in pipeline["params"]}
    assert given.keys() <= known.keys()
    assert {name for name, param in known.items() if "default" not in param} <= given.keys()
    assert [each["name"] for each in spec["workspaces"]] == [
        each["name"] for each in pipeline["workspaces"] if not each.get("optional")
    ]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("notebooks", "notebooks is not the root of its repository: that is .*/repository"),
        ("nowhere", "there is no directory nowhere"),
        ("..", r"leads out of the repository, by a link"),
    ],
)
def test_a_place_where_nothing_is_written(repository: Path, place: str, why: str) -> None:
    if place == "..":
        (repository / ".github").symlink_to(repository.parent)
        place = "."

    with pytest.raises(ConfigurationError, match=why):
        init.run(init.Options(directory=Path(place), ci="github"))

    assert not (repository.parent / "workflows").exists()


def test_a_directory_without_a_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no notebook \(\.ipynb\) in "):
        init.run(init.Options(directory=tmp_path))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("service", "line", "placeholder"),
    [
        ("github", 14, "github.com/you/stepkit"),
        ("gitlab", 5, "github.com/you/stepkit"),
        ("tekton", 17, "github.com/you/notebooks"),
    ],
)
def test_a_placeholder_for_a_repository_is_a_warning_with_its_line(
    repository: Path,
    caplog: pytest.LogCaptureFixture,
    service: str,
    line: int,
    placeholder: str,
) -> None:
    run("git", "remote", "remove", "origin")
    (repository / "notebooks/broken.ipynb").unlink()
    (repository / "test_analysis.py").unlink()

    file = init.run(init.Options(ci=service)).written[-1]  # type: ignore[arg-type]

    assert caplog.messages == [
        f"{file}, line {line}: {placeholder} is a placeholder: name your clone there"
    ]
    assert placeholder in file.read_text().splitlines()[line - 1]


@pytest.mark.slow
@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_the_commands_of_the_ci_file_run_in_a_clone_and_tell_what_failed(
    repository: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "notebooks/broken.ipynb").unlink()
    notebook(repository / "notebooks/a.ipynb")
    outputs = init.run(init.Options(ci=service, install="stepkit[tests] @ file:///x: y"))  # type: ignore[arg-type]
    file = yaml.safe_load(outputs.written[-1].read_text())
    if service == "github":
        steps = [step["run"] for step in file["jobs"]["notebooks"]["steps"] if "run" in step]
    else:
        steps = [*file["notebooks"]["before_script"], *file["notebooks"]["script"]]
    install, *work = steps
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    run("git", "add", "--all")
    run("git", *identity, "commit", "-qm", "Begin")
    run("git", "clone", "-q", ".", clone := repository.with_name("clone"))
    monkeypatch.chdir(clone)
    assert shlex.split(install) == ["pip", "install", "stepkit[tests] @ file:///x: y"]

    def go() -> int:
        env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "STEPKIT_OPT_INSTALLER": "none",
        }
        return [
            subprocess.run(["bash", "-ec", line], env=env, check=False).returncode for line in work
        ][-1]

    assert go() == 0
    record = json.loads((clone / "out/run.json").read_text())
    assert {step["name"] for step in record["steps"]} >= {"execute-notebooks", "run-tests"}
    assert (clone / "out/notebook_cells.xml").exists()

    notebook(clone / "notebooks/a.ipynb", code="1 / 0")
    assert go() == 3
    assert "ZeroDivisionError" in (clone / "out/STEP_SUMMARY.md").read_text()
