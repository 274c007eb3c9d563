"""No notebook, test, repository or server starts a command of a CI service."""

import json
import os
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path

import commands
import git_server
import github_commands
import loopback
import pytest
import yaml
from samples import Origin, write_notebook

HOSTILE = "::stop-commands::x"
LINES = rf"a\n{HOSTILE}\r  {HOSTILE}\v{HOSTILE}\u2028{HOSTILE}\n##[add-mask]x\n\x1b[0m{HOSTILE}\n"
PROGRAM = f'print("{LINES}", flush=True)'

CELLS = (
    f"# {HOSTILE}\nimport os, sys\n{PROGRAM}",
    f'sys.stderr.write("{LINES}")\nos.write(2, "{LINES}".encode())',
    f"""import subprocess
subprocess.run([sys.executable, "-c", '''{PROGRAM}'''], stdout=sys.__stderr__.fileno())""",
    f'"{LINES}"',
    f"""raise type("{LINES}", (Exception,), {{}})("{LINES}")  # {HOSTILE}""",
)
TESTS = f"""import pytest, sys

@pytest.mark.parametrize("value", ["{LINES}"])
def test_bad(value):
    # {HOSTILE}
    print(value)
    print(value, file=sys.stderr)
    raise RuntimeError(value)

@pytest.mark.skip(reason="{LINES}")
def test_skipped():
    pass
"""
CONFTEST = f"""import sys
sys.__stderr__.write("{LINES}")
def pytest_report_header():
    return "{LINES}"
"""

FORMATS = [
    "ci",
    pytest.param("plain", marks=pytest.mark.slow),
    pytest.param("json", marks=pytest.mark.slow),
]


def check(how: str, code: int, *words: str | Path) -> str:
    """Run stepkit as on GitHub, and find only commands of its log; return its stderr."""
    env = {**os.environ, "GITHUB_ACTIONS": "true"}
    done = commands.stepkit(*words, f"--log-format={how}", env=env)

    assert done.returncode == code, done.stderr
    assert github_commands.commands(done.stdout) == []
    found = github_commands.commands(done.stderr)
    names = {"error", "warning", "group", "endgroup"} if how == "ci" else set()
    assert {command.name for command in found} <= names
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ci", "plain", "json"])
def test_a_notebook_starts_none_in_the_log_of_its_batch(tmp_path: Path, how: str) -> None:
    notebook = write_notebook(tmp_path / "source/a.ipynb", *CELLS)

    args = [f"--directory={tmp_path}/out", "--log-output"]
    said = check(how, 3, "execute-notebooks", "--notebooks", notebook, *args)

    assert said.count("stop-commands") > 20
    if how == "ci":
        error = github_commands.commands(said)[-1]
        assert (error.properties["title"], error.properties["file"]) == (
            "cell 5 of 5",
            str(notebook),
        )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ci", "plain", "json"])
def test_a_notebook_starts_none_in_its_log(tmp_path: Path, how: str) -> None:
    notebook = write_notebook(tmp_path / f"{HOSTILE}.ipynb", *CELLS)

    args = [f"--output={tmp_path}/out.ipynb", "--log-output", f"--page={tmp_path}/page.html"]
    said = check(how, 3, "execute-notebook", f"--notebook={notebook}", *args)

    assert said.count("stop-commands") > 20
    if how == "ci":
        *_, group, _, error = github_commands.commands(said)
        assert (group.name, group.text) == ("group", "cell 5 of 5, line 1")
        title, line = error.properties["title"], int(error.properties["line"])
        assert (title, error.properties["file"]) == ("cell 5 of 5", str(notebook))
        assert json.loads(notebook.read_text().splitlines()[line - 1]) == CELLS[4]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ci", "plain", "json"])
def test_a_test_suite_starts_none(tmp_path: Path, how: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(TESTS)
    (tmp_path / "tests/conftest.py").write_text(CONFTEST)

    args = ["--installer=none", f"--artifacts={tmp_path}/out"]
    said = check(how, 3, "run-tests", f"--checkout={tmp_path}", *args)

    assert said.count("stop-commands") > 20


@pytest.mark.parametrize("how", FORMATS)
def test_a_repository_starts_none(origin: Origin, tmp_path: Path, how: str) -> None:
    origin.commit(HOSTILE, f"{HOSTILE}\n{HOSTILE}")
    (origin.path / ".gitmodules").write_text(f'[submodule "{HOSTILE}"]\n path = "{HOSTILE}"\n')
    origin.git("add", ".")
    origin.git("commit", "-m", HOSTILE)

    with git_server.serving(git_server.GitServer(origin.path.parent)) as server:
        args = [f"--url={server.url}/origin", f"--destination={tmp_path}/got", "--verbose"]
        check(how, 0, "git-clone", *args)
        assert "stop-commands" in check(how, 2, "git-clone", *args, f"--revision={HOSTILE}")


class Answer(loopback.Handler):
    """Refuses everything, in words that are hostile."""

    def do_GET(self) -> None:
        self.send_response_only(404, f"{HOSTILE} ##[add-mask]x")
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"ERR {HOSTILE}\n{HOSTILE}\n##[add-mask]x".encode())


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("command", ["git-clone", "download-dataset"])
def test_a_server_that_refuses_starts_none(tmp_path: Path, how: str, command: str) -> None:
    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), Answer)) as server:
        url = f"http://127.0.0.1:{server.server_port}/{HOSTILE}"
        place = "destination" if command == "git-clone" else "directory"
        said = check(how, 2, command, f"--url={url}", f"--{place}={tmp_path}/got")

    assert "stop-commands" in said


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ci", "plain", "json"])
def test_a_task_starts_none_in_the_log_of_its_run(tmp_path: Path, how: str) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", *CELLS)
    files = [str(notebook), f"{tmp_path}/b.ipynb", "--report", f"{tmp_path}/r.json"]
    stepkit = [sys.executable, "-P", "-m", "stepkit", "execute-notebook", *files]
    programs = {
        "printed": [sys.executable, "-c", PROGRAM],
        "notebook": [*stepkit, "--log-output", "--log-format=ci"],
    }
    tasks = [
        {
            "name": name,
            "taskSpec": {"steps": [{"name": "s", "image": "i", "command": program}]},
        }
        for name, program in programs.items()
    ]
    spec = {"tasks": tasks}
    pipeline = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "p"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**pipeline, "spec": spec}))

    said = check(how, 3, "run-local", tmp_path / "p.yaml", "--jobs=2")

    assert said.count("stop-commands") > 20
    if how == "ci":
        error = github_commands.commands(said)[-1]
        assert (error.properties["title"], error.properties["file"]) == (
            "cell 5 of 5",
            str(notebook),
        )


def test_wrong_arguments_start_none(tmp_path: Path) -> None:
    check("ci", 2, "git-clone", f"--a\n{HOSTILE}\r{HOSTILE}")
    file = f"--notebook={tmp_path}/a\n{HOSTILE}\n##[x]y"
    done = commands.stepkit("execute-notebook", file, f"--output={tmp_path}/b.ipynb", "--json")
    assert github_commands.commands(done.stdout) == []
    assert HOSTILE in json.loads(done.stdout)["message"]
