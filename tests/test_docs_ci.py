"""The jobs in docs/ci.md: their commands run, and the files that they keep are there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), flags=re.DOTALL)
PASSES, RAISES = "print(1)", "1 / 0"
TEST = """\
from pathlib import Path

def test_page():
    assert list(Path("input").glob("*.html"))
"""


def commands(job: str) -> list[str]:
    github, gitlab = map(yaml.safe_load, BLOCKS[:2])
    steps: list[dict[str, Any]] = github["jobs"]["analysis"]["steps"]
    lines = [step.get("run", "") for step in steps]
    found = {"github": lines, "gitlab": gitlab["analysis"]["script"]}[job]
    return [line for line in found if line.startswith("stepkit ")]


def test_no_job_puts_stepkit_into_the_checkout_where_pytest_would_collect_its_tests() -> None:
    github, gitlab = map(yaml.safe_load, BLOCKS[:2])
    steps: list[dict[str, Any]] = github["jobs"]["analysis"]["steps"]
    before = [step["run"] for step in steps if "run" in step], gitlab["analysis"]["before_script"]

    assert [step.get("with") for step in steps if "checkout" in step.get("uses", "")] == [None]
    for lines in before:
        assert lines[0].startswith("pip install 'stepkit[tests] @ git+https://"), lines[0]


@pytest.mark.parametrize(
    ("job", "host", "user"),
    [("github", "github.com", "x-access-token"), ("gitlab", "git.example.org", "gitlab-ci-token")],
)
def test_a_private_clone_gets_the_token_from_git_at_its_host_alone(
    tmp_path: Path, job: str, host: str, user: str
) -> None:
    github, gitlab = map(yaml.safe_load, BLOCKS[2:])
    text = {"github": github[0]["run"], "gitlab": gitlab["before_script"][0]}[job]
    configure = text.partition("pip install")[0]
    env = {
        "PATH": os.environ["PATH"], "HOME": os.fspath(tmp_path), "GIT_TERMINAL_PROMPT": "0",
        "CI_SERVER_URL": f"https://{host}", "CI_JOB_TOKEN": "t0ken", "CLONE_TOKEN": "t0ken",
    }  # fmt: skip
    subprocess.run(["bash", "-euc", configure], env=env, check=True)

    asked = {
        name: subprocess.run(
            ["git", "credential", "fill"], input=f"protocol=https\nhost={name}\n\n", env=env,
            capture_output=True, text=True, check=False,
        ).stdout
        for name in (host, "other.example.org")
    }  # fmt: skip

    assert f"username={user}\npassword=t0ken\n" in asked[host]
    assert "t0ken" not in asked["other.example.org"] + (tmp_path / ".gitconfig").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("source", [PASSES, RAISES])
@pytest.mark.parametrize("job", ["github", "gitlab"])
def test_a_job_ends_as_its_notebook_and_keeps_the_files(
    tmp_path: Path, job: str, source: str
) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = new_notebook(cells=[new_code_cell(source)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "notebooks/analysis.ipynb")
    (tmp_path / "test_page.py").write_text(TEST)
    stepkit = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{stepkit}:{os.environ['PATH']}"}
    env = {name: value for name, value in env.items() if not name.startswith("GITHUB_")}

    codes = [
        subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, check=False).returncode
        for line in commands(job)
    ]

    assert len(codes) == 3
    assert codes[-1] == (0 if source == PASSES else 3)
    verdict = "passed" if source == PASSES else "failed"
    assert f": {verdict}\n" in (tmp_path / "out/STEP_SUMMARY.md").read_text()
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"analysis.ipynb", "analysis.html", "notebook_cells.xml", "report.html"} <= kept
    assert "pytest_results.xml" in kept


@pytest.mark.slow
def test_each_job_in_the_pages_is_what_its_service_asks_for(tmp_path: Path) -> None:
    written: dict[str, list[Path]] = {"github-workflows": [], "gitlab-ci": []}
    for page in ("ci", "github", "gitlab"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)):
            kind = "github-workflows" if "\njobs:" in block else "gitlab-ci"
            if not block.lstrip().startswith("- "):  # a step alone
                written[kind].append(tmp_path / f"{page}-{number}.yml")
                written[kind][-1].write_text(block)
    assert {kind: len(files) for kind, files in written.items()} == {
        "github-workflows": 2, "gitlab-ci": 3,
    }  # fmt: skip
    for kind, files in written.items():
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}"]
        done = subprocess.run([*command, *files], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
