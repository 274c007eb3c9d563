"""CONTRIBUTING.md's recipe for a new step, followed in a copy of the tree."""

import os
import re
import shutil
import textwrap
from pathlib import Path
from typing import Final

import commands
import pytest
import yaml

ROOT = Path(__file__).parents[1]
COPIED = ("stepkit", "tasks", "tests", "docs", "pyproject.toml", "mkdocs.yml", "README.md",
          "CHANGELOG.md", "action.yml", "images", "uv.lock")  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the tree and do what the recipe says, up to `make generated`."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path)
    recipe = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a step\n")[2]
    blocks = re.findall(r"^ +```python\n(.*?)^ +```$", recipe, re.DOTALL | re.MULTILINE)
    module, line, test = map(textwrap.dedent, blocks)
    (tmp_path / "stepkit/steps/count_words.py").write_text(module)
    registry = tmp_path / "stepkit/steps/__init__.py"
    registered = registry.read_text().replace("MODULES: Final = {\n", "MODULES: Final = {\n" + line)
    registry.write_text(registered)
    (tmp_path / "tasks/count-words.yaml").write_text(yaml.safe_dump(task(), sort_keys=False))
    (tmp_path / "tests/steps/test_count_words.py").write_text(test)
    (tmp_path / "docs/count-words.md").write_text("# count-words\n")
    return tmp_path


_CALL: Final = "import stepkit; print(stepkit.count_words(file='a.txt').message)"


def task() -> object:
    """Return the Task of collect-artifacts, changed to call the new step."""
    task = yaml.safe_load((ROOT / "tasks/collect-artifacts.yaml").read_text())
    task["metadata"]["name"] = "count-words"
    task["metadata"]["annotations"]["tekton.dev/displayName"] = "count words"
    spec, (step,) = task["spec"], task["spec"]["steps"]
    spec["description"] = "Count the words of a text file.\n\nA short text fails the Task."
    spec["params"] = [
        spec["params"][0],
        {"name": "file", "type": "string", "description": "Text file."},
        {"name": "least", "type": "string", "description": "Fewest words.", "default": "0"},
        {
            "name": "report",
            "type": "string",
            "description": "File for the JSON report of the step.",
            "default": "reports/count-words.json",
        },
    ]
    spec["results"][2:] = [{"name": "words", "description": "Number of words."}]
    results = [f"--result={one['name']}=$(results.{one['name']}.path)" for one in spec["results"]]
    step["name"] = "count-words"
    step["command"][-1] = "count-words"
    flags = [f"--{name}=$(params.{name})" for name in ("file", "least", "report")]
    step["args"] = [*flags, *results]
    return task


def python(tree: Path, *arguments: str) -> str:
    """Run Python in the copy, where it finds that copy's packages; return all that it prints."""
    done = commands.python(*arguments, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def contents(tree: Path) -> dict[str, bytes]:
    files = (path for path in tree.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(tree)): path.read_bytes() for path in files}


def test_a_step_is_added_as_contributing_says(tree: Path) -> None:
    before = contents(tree)

    python(tree, "-m", "tasks.generated")

    after = contents(tree)
    assert {name for name in after if before.get(name) != after[name]} == {
        "docs/cli.md",
        "mkdocs.yml",
        "stepkit/__init__.py",
        "stepkit/__init__.pyi",
        "tasks/kustomization.yaml",
        "tasks/stepactions/count-words.yaml",
        *(f"stepkit/cli/completion/stepkit.{shell}" for shell in ("bash", "zsh", "fish")),
    }
    row = "](#count-words) | Count the words of a text file ([more](count-words.md)) |\n"
    options = "- `--least N`: fewest words that are enough (default: 0)\n"
    assert row in (tree / "docs/cli.md").read_text()
    assert options in (tree / "docs/cli.md").read_text()
    assert "- count-words: docs/count-words.md\n" in (tree / "mkdocs.yml").read_text()

    (tree / "a.txt").write_text("one two three")
    flags = ["--file=a.txt", "--report=reports/count-words.json", "--result=words=words"]
    assert "words=3\n" in python(tree, "-m", "stepkit", "count-words", *flags)
    assert (tree / "words").read_text() == "3"

    assert python(tree, "-c", _CALL) == "3 words\n"

    python(tree, "-m", "stepkit", "summarize", "--reports=reports", "--summary=summary.md")
    page = (tree / "summary.md").read_text()
    assert page.startswith("# Notebook run: passed\n\ncount-words: 3 words\n")
    assert "| count-words | succeeded |" in page

    tests = ("tests/steps/test_count_words.py", "tests/tasks", "tests/cli/test_main.py")
    chosen = "count-words or count_words or stale"
    quiet = ("-q", "-p", "no:cacheprovider", "-k", chosen)
    passed = re.search(r"(\d+) passed", python(tree, "-m", "pytest", *quiet, *tests))
    assert passed
    assert int(passed[1]) > 6  # the step's two, its help, the generated files, its Task, StepAction
