"""execute-notebook reads and writes s3:// addresses, and reads https:// ones."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import commands
import loopback
import nbformat
import pytest
from data_server import serving as serving_data
from data_server import status
from object_storage_server import Storage, faulty, serving
from samples import write_notebook

from stepkit.cli import main as cli
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.steps import execute_notebook
from stepkit.steps.execute_notebook import Options, Outputs
from stepkit.workspace import run_marker

GOOGLE = (
    "use s3://bucket/name with --endpoint-url https://storage.googleapis.com and an HMAC key, "
    "or `gcloud storage cp`"
)
RAW = "https://raw.githubusercontent.com/OWNER/NAME/BRANCH/PATH"
KEYS = {"access_key_id": "an-access-key", "secret_access_key": "a-secret-access-key"}


class Denying(loopback.Handler):
    """A server of objects that refuses the key."""

    def do_HEAD(self) -> None:
        self.answer(403)


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        storage.bucket("books")
        yield storage


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary directories, and the kernel's working directory, be in ``tmp_path``."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.chdir(tmp_path)
    return directory


def run(notebook: str | Path, output: str | Path, storage: Any = None, **more: Any) -> Outputs:
    server = {"endpoint_url": storage.url, **KEYS} if storage else {}
    options = {"notebook": Path(notebook), "output": Path(output), **server, **more}
    return execute_notebook.run(Options(**options))


def failed(notebook: str | Path, output: str | Path, *more: Any, **options: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        run(notebook, output, *more, **options)
    return caught.value


def printed(content: bytes) -> str:
    nb = nbformat.reads(content.decode(), as_version=4)
    return "".join(out.get("text", "") for cell in nb.cells for out in cell.get("outputs", []))


def test_a_notebook_in_a_bucket_is_executed_into_another(
    tmp_path: Path, temporary: Path, storage: Storage
) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "import os; print(os.getcwd())")
    storage.put("books/in/a.ipynb", source.read_bytes())

    outputs = run("s3://books/in/a.ipynb", "s3://books/out/b.ipynb", storage)

    content, headers = storage.get("books/out/b.ipynb")
    assert printed(content) == f"{tmp_path}\n"
    assert headers["content-type"] == "application/x-ipynb+json"
    assert outputs.message == "1 of 1 cells ran; uploaded to s3://books/out/b.ipynb"
    assert outputs.notebook.read_bytes() == content
    (kept,) = temporary.iterdir()
    assert outputs.notebook.parent == outputs.log.parent == kept
    assert not (kept / "source").exists()


@pytest.mark.slow
def test_what_a_failed_notebook_did_is_uploaded(tmp_path: Path, storage: Storage) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('so far')", "1 / 0")

    error = failed(notebook, "s3://books/failed.ipynb", storage)

    assert type(error) is UserCodeError
    assert error.reason == Reason.CELL_ERROR
    assert "uploaded" not in str(error)
    assert printed(storage.get("books/failed.ipynb")[0]) == "so far\n"


@pytest.mark.slow
@pytest.mark.parametrize("code", ["print('so far')", "print('so far'); 1 / 0"])
def test_a_notebook_that_cannot_be_uploaded_is_kept_and_named(
    tmp_path: Path, temporary: Path, storage: Storage, code: str
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", code)
    with faulty(storage) as front:
        front.always = 403

        error = failed(notebook, "s3://books/kept.ipynb", front)

    (kept,) = temporary.glob("*/kept.ipynb")
    lost = f"the executed notebook is in {kept}, not at s3://books/kept.ipynb: cannot write"
    if "1 / 0" in code:
        assert type(error) is UserCodeError
        assert str(error).startswith("cell 1 of 1 ")
        assert f"; {lost}" in str(error)
    else:
        assert type(error) is ToolError
        assert str(error).startswith(f"1 of 1 cells ran, but {lost}")
    assert error.outputs is not None
    assert printed(kept.read_bytes()) == "so far\n"


@pytest.mark.slow
def test_a_stopped_notebook_is_uploaded(tmp_path: Path, storage: Storage) -> None:
    code = "import os, signal, time; print('so far', flush=True)"
    code += "; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    notebook = write_notebook(tmp_path / "a.ipynb", code)
    keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    env = {**os.environ, **keys, "AWS_ENDPOINT_URL": storage.url, "TMPDIR": str(tmp_path)}

    done = commands.stepkit("execute-notebook", notebook, "s3://books/stopped.ipynb", env=env)

    assert done.returncode == 128 + signal.SIGTERM
    assert "uploaded s3://books/stopped.ipynb" in done.stderr
    assert printed(storage.get("books/stopped.ipynb")[0]) == "so far\n"


@pytest.mark.slow
def test_the_keys_stay_in_the_environment_of_the_notebook_and_are_masked(
    tmp_path: Path, storage: Storage
) -> None:
    code = "import os; print('key', os.environ['AWS_SECRET_ACCESS_KEY'])"
    notebook = write_notebook(tmp_path / "a.ipynb", code)
    keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "very-secret-key"}
    env = {**os.environ, **keys, "AWS_ENDPOINT_URL": storage.url, "TMPDIR": str(tmp_path)}
    report = tmp_path / "r.json"

    done = commands.stepkit(
        "execute-notebook", notebook, "s3://books/key.ipynb",
        "--log-output", f"--report={report}", env=env,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "key ***" in done.stderr
    assert "very-secret-key" not in done.stderr + done.stdout + report.read_text()
    assert printed(storage.get("books/key.ipynb")[0]) == "key very-secret-key\n"
    options = json.loads(report.read_text())["options"]
    assert options["output"] == "s3://books/key.ipynb"


@pytest.mark.slow
def test_a_variant_names_the_object_too(tmp_path: Path, storage: Storage) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('lite')")
    rules = tmp_path / "rules.yaml"
    rules.write_text("variants: {lite: {suffix: _lite}}\n")

    outputs = run(notebook, "s3://books/v/b.ipynb", storage, rules=rules, variant="lite")

    assert outputs.message.endswith("uploaded to s3://books/v/b_lite.ipynb")
    assert printed(storage.get("books/v/b_lite.ipynb")[0]) == "lite\n"


def test_a_notebook_on_a_web_server_is_executed(tmp_path: Path, temporary: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "print('from the web')")
    with serving_data(source.read_bytes()) as server:
        outputs = run(f"{server.url}/dir/a.ipynb", tmp_path / "out/b.ipynb")

    assert outputs.message == "1 of 1 cells ran"
    assert printed((tmp_path / "out/b.ipynb").read_bytes()) == "from the web\n"
    assert list(temporary.iterdir()) == []


def test_what_is_no_notebook_is_refused_by_its_address(tmp_path: Path, temporary: Path) -> None:
    with serving_data(b"<html>please log in</html>") as server:
        address = f"{server.url}/a.ipynb"
        error = failed(address, tmp_path / "b.ipynb")

    assert type(error) is ConfigurationError
    assert str(error).startswith(f"{address} is not a notebook: it is not JSON: ")
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "b.ipynb").exists()


def test_a_notebook_that_is_not_there_is_refused(tmp_path: Path, storage: Storage) -> None:
    with serving_data(b"{}") as server:
        server.faults.append(status(404))
        web = failed(f"{server.url}/a.ipynb", tmp_path / "b.ipynb")
    bucket = failed("s3://books/none.ipynb", tmp_path / "b.ipynb", storage)

    assert type(web) is type(bucket) is ConfigurationError
    assert web.reason == bucket.reason == Reason.NOT_FOUND
    assert "/a.ipynb: the server answered HTTP 404" in str(web)
    assert str(bucket) == "there is no s3://books/none.ipynb"


@pytest.mark.parametrize(
    ("notebook", "output", "message"),
    [
        (
            "a.ipynb",
            "https://example.org/b.ipynb",
            "cannot write to https://example.org/b.ipynb: name a file, or s3://bucket/name",
        ),
        (
            "gs://books/a.ipynb",
            "b.ipynb",
            f"gs:// is not supported: {GOOGLE}",
        ),
        (
            "github://github.com/o/r/blob/main/a.ipynb",
            "b.ipynb",
            f"github:// is not supported: use git-clone, or {RAW}",
        ),
        ("a.ipynb", "adl://x/b.ipynb", "adl:// is not supported: copy the file with its own tool"),
        ("a.ipynb", "s3://books", "s3://books names no notebook: write s3://bucket/name.ipynb"),
    ],
)
def test_another_address_is_refused_with_the_way_that_works(
    temporary: Path, notebook: str, output: str, message: str
) -> None:
    error = failed(notebook, output)

    assert type(error) is ConfigurationError
    assert str(error) == message
    assert list(temporary.iterdir()) == []


def test_a_server_that_refuses_the_key_is_known_before_the_run(
    tmp_path: Path, temporary: Path
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w')")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    with loopback.running(server):
        url = f"http://127.0.0.1:{server.server_port}"
        error = failed(notebook, "s3://books/b.ipynb", endpoint_url=url, **KEYS)

    assert type(error) is ConfigurationError
    assert error.reason == Reason.AUTH
    assert "check the credentials and their rights" in str(error)
    assert not (tmp_path / "ran").exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("remote", ["notebook", "output"])
def test_a_run_with_an_address_is_not_proven_for_a_later_one(
    tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch, remote: str
) -> None:
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", storage.url)
    work = tmp_path / "run-1"
    work.mkdir()
    run_marker.write(work, run="run-1", directories=())
    source = write_notebook(work / "a.ipynb", "print('again')")
    storage.put("books/a.ipynb", source.read_bytes())
    paths = {"notebook": str(source), "output": str(work / "b.ipynb")}
    paths[remote] = "s3://books/a.ipynb"
    report = work / "r.json"

    given = [f"--{name}={path}" for name, path in paths.items()]
    assert cli.main(["execute-notebook", *given, f"--report={report}"]) == 0

    proof = json.loads(report.read_text())["proof"]
    assert (
        proof["unproven"]
        == f"--{remote} "
        + {
            "notebook": "s3:/books/a.ipynb is not a file",
            "output": "s3://books/a.ipynb is not a file of the run",
        }[remote]
    )
