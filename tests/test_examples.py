"""The demo: its git server, its two repositories, and its command line."""

import base64
import gzip
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tokenize
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import commands
import nbformat
import published_schemas
import pytest

from examples import demo
from examples.serve import GitServer

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "examples/notebooks-repository/notebooks"
TESTS = ROOT / "examples/tests-repository"
TOKEN = "s3cret-of-this-run"

every_notebook = pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("**/*.ipynb")), ids=lambda path: path.stem
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "files"
    (directory / "sub").mkdir(parents=True)
    (directory / "sub/a.txt").write_text("a\n")
    (directory / "ignored.html").write_text("of the last run\n")
    (directory / ".gitignore").write_text("*.html\n")
    return directory


@pytest.fixture
def server(files: Path) -> Any:
    with GitServer({"open": files, "tests": files}, private={"tests"}, token=TOKEN) as started:
        yield started


def git(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    return commands.run("git", *args, cwd=cwd, env=env)


def clone(url: str, cwd: Path, *, token: str = "") -> subprocess.CompletedProcess[str]:
    header = base64.b64encode(f"anyone:{token}".encode()).decode()
    settings = ["-c", f"http.extraHeader=Authorization: Basic {header}"] if token else []
    return git(*settings, "clone", "--quiet", url, "clone", cwd=cwd)


def send_request(
    server: GitServer, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url("open")).netloc, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes))
    with connection.getresponse() as response:
        answer = response.status, response.read()
    connection.close()
    return answer


def test_an_open_repository_is_cloned_without_a_token(server: GitServer, tmp_path: Path) -> None:
    done = clone(server.url("open"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "clone/sub/a.txt").read_text() == "a\n"


def test_ignored_files_are_not_served(server: GitServer, tmp_path: Path) -> None:
    clone(server.url("open"), tmp_path)
    found = {path.name for path in (tmp_path / "clone").iterdir()}
    assert found == {".git", ".gitignore", "sub"}


def test_a_private_repository_is_cloned_with_its_token(server: GitServer, tmp_path: Path) -> None:
    assert clone(server.url("tests"), tmp_path, token=TOKEN).returncode == 0
    assert (tmp_path / "clone/sub/a.txt").exists()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x"])
def test_a_private_repository_refuses_any_other_token(
    server: GitServer, tmp_path: Path, token: str
) -> None:
    done = clone(server.url("tests"), tmp_path, token=token)
    assert done.returncode == 128
    assert "Authentication failed" in done.stderr or "could not read Username" in done.stderr
    assert not (tmp_path / "clone").exists()


@pytest.mark.parametrize("header", ["", "Basic", "Basic ???", f"Bearer {TOKEN}", "Basic Og=="])
def test_a_broken_authorization_is_refused(server: GitServer, header: str) -> None:
    path = "/tests.git/info/refs?service=git-upload-pack"
    assert send_request(server, "GET", path, Authorization=header)[0] == 401


@pytest.mark.parametrize(
    "path", ["/nowhere.git/HEAD", "/open.git/../tests.git/HEAD", "/%74ests.git/HEAD", "/", "//"]
)
def test_other_paths_are_not_found(server: GitServer, path: str) -> None:
    status, content = send_request(server, "GET", path)
    assert (status, content) in {(404, b""), (500, b"")}


@pytest.mark.parametrize("sent", ["plain", "chunked", "compressed"])
def test_every_encoding_of_a_request_is_read(server: GitServer, sent: str) -> None:
    body: Any = b"0014command=ls-refs\n0000"
    headers = {"Content_Type": "application/x-git-upload-pack-request", "Git_Protocol": "version=2"}
    if sent == "chunked":
        body = iter([body[:7], body[7:]])
        headers["Transfer_Encoding"] = "chunked"
    if sent == "compressed":
        body = gzip.compress(body)
        headers["Content_Encoding"] = "gzip"
    status, content = send_request(server, "POST", "/open.git/git-upload-pack", body, **headers)
    assert status == 200
    assert b" refs/heads/main" in content


def test_the_same_files_make_the_same_commit(files: Path, tmp_path: Path) -> None:
    heads = set()
    for _ in range(2):
        with GitServer({"open": files}) as server:
            heads.add(git("ls-remote", server.url("open"), "HEAD", cwd=tmp_path).stdout)
    assert len(heads) == 1
    assert not {""} & heads


def test_the_server_removes_its_files_when_it_stops(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with GitServer({"open": files}) as server:
        assert list((tmp_path / "temporary").iterdir())
    assert not list((tmp_path / "temporary").iterdir())
    assert "Failed to connect" in clone(server.url("open"), tmp_path).stderr


def test_a_server_with_wrong_arguments_does_not_start(files: Path) -> None:
    with pytest.raises(ValueError, match="private names no repository: test"):
        GitServer({"tests": files}, private={"test"}, token=TOKEN)
    with pytest.raises(ValueError, match="private repositories need a token"):
        GitServer({"tests": files}, private={"tests"}, token="")
    with pytest.raises(KeyError), GitServer({"open": files}) as server:
        server.url("opened")


def code_cells(path: Path) -> list[Any]:
    nb = nbformat.read(path, as_version=4)
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def parameters_cell(path: Path) -> Any:
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    return cell


@every_notebook
def test_a_notebook_is_valid_and_has_no_outputs(path: Path) -> None:
    text = path.read_text()
    nb = json.loads(text)
    nbformat.validate(nb)
    assert (nb["nbformat"], nb["nbformat_minor"]) == (4, 5)
    assert nb["metadata"]["kernelspec"]["name"] == "python3"
    assert nb["metadata"]["language_info"]["name"] == "python"
    assert not [cell.id for cell in code_cells(path) if cell.outputs or cell.execution_count]
    assert text == json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


@every_notebook
def test_a_notebook_has_one_cell_of_parameters_that_papermill_can_read(path: Path) -> None:
    source = parameters_cell(path).source
    tokens = list(tokenize.generate_tokens(StringIO(source).readline))
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    assert not [comment for comment in comments if "=" in comment]
    assert len([token for token in tokens if token.string == "="]) == len(source.splitlines())


@every_notebook
def test_a_notebook_ends_with_the_output_that_the_tests_look_for(path: Path) -> None:
    assert "clusters: " in code_cells(path)[-1].source


@pytest.mark.parametrize(
    ("name", "code", "reason", "failed"),
    [
        ("cell_error", 3, "cell-error", 'return results["pca"]'),
        pytest.param(
            "magic_error", 3, "cell-error", 'share = counts[highest] / counts["mitochondrial"]',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "syntax_error", 3, "cell-error", "shares = [count / sum(counts for count in counts]",
            marks=pytest.mark.slow,
        ),
        pytest.param("killed_kernel", 4, "kernel-died", None, marks=pytest.mark.slow),
        pytest.param("time_limit", 3, "timeout", "time.sleep(60)", marks=pytest.mark.slow),
        pytest.param("early_exit", 3, "early-exit", None, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_failing_notebook_fails_before_its_end_with_its_reason_and_its_line(
    tmp_path: Path, name: str, code: int, reason: str, failed: str | None
) -> None:
    flags = [f"--notebook={NOTEBOOKS}/failing/{name}.ipynb", f"--output={tmp_path}/out.ipynb"]
    limit = demo.PARAMS.get(f"notebooks/failing/{name}.ipynb", {}).get("execution-timeout", "0")
    flags += [f"--execution-timeout={min(limit, '1s')}"]
    flags += [f"--report={tmp_path}/report.json"]
    done = commands.stepkit("execute-notebook", *flags, cwd=tmp_path)
    assert done.returncode == code
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["reason"] == reason
    error = report["error"]
    line = error["line"] and error["source"].split("\n")[error["line"] - 1].strip()
    assert line == failed
    assert published_schemas.check_files(tmp_path) == {"report", "timeline", "progress"}
    cells = code_cells(tmp_path / "out.ipynb")
    silent = {cell.id for cell in cells if cell.execution_count is None}
    # The number of the last cell may be lost when the kernel is killed.
    assert silent - ({"killed"} if name == "killed_kernel" else set()) == {"end"}


def test_the_lite_variant_sets_parameters_that_the_notebook_has() -> None:
    names = {name.partition("=")[0] for name in demo.LITE_PARAMETERS}
    cell = parameters_cell(demo.REPOSITORIES["notebooks"] / demo.NOTEBOOK)
    assert names <= {line.partition(" ")[0] for line in cell.source.splitlines()}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(TESTS, tmp_path / "checkout", ignore=shutil.ignore_patterns("std_*", "__py*"))
    return tmp_path / "checkout"


def run_tests(checkout: Path) -> subprocess.CompletedProcess[str]:
    options = ("-m", "single_cell", "-p", "no:cacheprovider")
    return commands.python("-m", "pytest", *options, cwd=checkout)


def test_a_good_page_passes_and_unmarked_tests_are_left_out(checkout: Path) -> None:
    shutil.copy(checkout / "tests/pages/good.html", checkout / "input/std_output_analysis.html")
    done = run_tests(checkout)
    assert done.returncode == 0
    assert "19 passed, 8 deselected" in done.stdout


@pytest.mark.slow
def test_without_a_page_the_tests_fail_instead_of_being_skipped(checkout: Path) -> None:
    done = run_tests(checkout)
    assert done.returncode == 1
    assert "6 failed, 13 passed, 8 deselected" in done.stdout
    assert "there is no std_*.html in" in done.stdout


@pytest.mark.parametrize("page", ["failed_notebook", "early_exit", "few_clusters", "no_plots"])
@pytest.mark.slow
def test_a_bad_page_fails_the_tests(checkout: Path, page: str) -> None:
    shutil.copy(checkout / f"tests/pages/{page}.html", checkout / "input/std_output_analysis.html")
    done = run_tests(checkout)
    assert done.returncode == 1
    assert "FAILED tests/test_single_cell.py::test_page" in done.stdout


@pytest.mark.slow
def test_the_lock_fits_the_test_repository(checkout: Path) -> None:
    check = ("poetry", "check", "--lock", "--no-interaction")
    done = commands.python("-m", *check, cwd=checkout)
    assert (done.returncode, done.stderr) == (0, "")


def run_demo(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return commands.python("-m", "examples.demo", *args, cwd=ROOT, env=os.environ | env)


def test_the_error_for_an_unknown_notebook_names_the_known_ones() -> None:
    done = run_demo("--notebook", "notebooks/nothing.ipynb")
    assert done.returncode == 2
    assert "there is no notebook 'notebooks/nothing.ipynb': choose from" in done.stderr
    assert "notebooks/failing/cell_error.ipynb" in done.stderr


def test_without_git_the_demo_says_what_to_install(tmp_path: Path) -> None:
    done = run_demo(PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "demo: there is no git on PATH: install it (apt-get install git)\n"


def test_without_http_backend_the_demo_says_what_to_install(tmp_path: Path) -> None:
    done = run_demo(GIT_EXEC_PATH=str(tmp_path))
    assert done.returncode == 2
    assert "demo: git has no http-backend here" in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_forwarded_and_the_exit_code_of_the_pipeline_is_returned(signum: int) -> None:
    pipeline = (
        "import signal, sys, time\n"
        f"signal.signal({int(signum)}, lambda *_: sys.exit(77))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    script = (
        "import sys; from examples import demo; "
        f"sys.exit(demo._run_pipeline([sys.executable, '-c', {pipeline!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signum)
        assert running.wait(20) == 77


@pytest.mark.slow
def test_the_lite_demo_passes_and_shows_its_files(tmp_path: Path) -> None:
    done = run_demo("--lite", "--directory", str(tmp_path))
    assert done.returncode == 0
    (run,) = tmp_path.glob("run-*")
    assert (run / "artifacts/output_analysis_lite.html").stat().st_size > 300_000
    assert "19 of 19 passed" in (run / "artifacts/STEP_SUMMARY_lite.md").read_text()
    assert f"artifacts in {run}/artifacts:\n" in done.stdout
    assert published_schemas.check_files(tmp_path) == {
        "report",
        "run",
        "metadata",
        "manifest",
        "timeline",
        "progress",
    }


@pytest.mark.slow
def test_a_failing_demo_writes_what_the_schemas_say(tmp_path: Path) -> None:
    failing = "notebooks/failing/cell_error.ipynb"
    done = run_demo("--notebook", failing, "--directory", str(tmp_path))
    assert done.returncode == 3
    (run,) = tmp_path.glob("run-*")
    cause, advice, report = done.stdout.splitlines()[-3:]
    assert cause.startswith("execute-notebook failed: cell 4 of 5 (")
    assert advice == "what to try: stepkit explain cell-error"
    assert report == f"report: {(run / 'artifacts/report.html').as_uri()}"
    assert published_schemas.check_files(tmp_path) == {
        "report",
        "run",
        "metadata",
        "manifest",
        "timeline",
        "progress",
    }
