"""The Pipelines with all their tasks, as run-local runs them."""

import email
import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import commands
import data_server
import message_servers
import pytest
import run_records
from junit_files import cases, suites
from message_servers import Web
from samples import Origin, write_notebook

PIPELINES = Path(__file__).parents[1] / "tasks/pipelines"
MOST_RESULTS = 1024  # bytes of all results of a Task

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[Web]:
    with message_servers.web() as web:
        yield web


def run_local(
    directory: Path, pipeline: str, *flags: str, run: str = "run-1", **params: str
) -> tuple[int, str]:
    """Run a Pipeline of this project; return its exit code and its log."""
    command = [sys.executable, "-P", "-m", "stepkit", "run-local", f"{PIPELINES}/{pipeline}.yaml"]
    command += [f"--run={run}", f"--workspace=shared={directory}/work"]
    command += [f"--report={directory}/report.json", *flags, "--param"]
    command += [f"{name.replace('_', '-')}={value}" for name, value in params.items()]
    done = commands.run(*command, timeout=300)
    return done.returncode, done.stderr


def notebook_ci(
    directory: Path, origin: Origin, tests: Origin, *flags: str, run: str = "run-1", **params: str
) -> tuple[int, str]:
    """Run the Pipeline of one notebook, nb/a.ipynb, and of all tests."""
    params |= {"notebooks_url": origin.url, "tests_url": tests.url, "notebook": "nb/a.ipynb"}
    params |= {"marker": "", "installer": "none"}
    return run_local(directory, "notebook-ci", *flags, run=run, **params)


def notebooks(tmp_path: Path, **sources: str) -> Origin:
    """Make a repository with a notebook of one cell for each of ``sources``."""
    origin = Origin(tmp_path / "notebooks")
    for name, source in sources.items():
        write_notebook(origin.path / f"nb/{name}.ipynb", source)
    origin.commit("notebooks")
    return origin


def repository_of_tests(tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "tests")
    (origin.path / "input").mkdir()
    (origin.path / "input/.gitkeep").touch()
    (origin.path / "test_page.py").write_text(
        "from pathlib import Path\n"
        "def test_page(): assert list(Path('input').glob('std_output_analysis*.html'))\n"
    )
    origin.commit("tests")
    return origin


def secret(tmp_path: Path, **keys: str) -> str:
    directory = tmp_path / "secret"
    directory.mkdir()
    for key, value in keys.items():
        (directory / key).write_text(value)
    return f"--secret=notify={directory}"


def report_of(directory: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return report


def attached(mail: str) -> list[str | None]:
    """Return the names of the files that are attached to a mail."""
    parts = email.message_from_string(mail).walk()
    return [part.get_filename() for part in parts if part.get_filename()]


def posts(server: Web, prefix: str) -> list[dict[str, Any]]:
    return [request.json for request in server.requests if request.path.startswith(prefix)]


@pytest.mark.parametrize(
    ("source", "code", "verdict", "state"),
    [
        pytest.param("print('well')", 0, "passed", "success", id="passes"),
        pytest.param("{}['pca']", 3, "failed", "failure", id="fails"),
    ],
)
def test_a_run_is_published_whole_and_reported_to_people_and_to_github(
    tmp_path: Path, server: Web, source: str, code: int, verdict: str, state: str
) -> None:
    origin, tests = notebooks(tmp_path, a=source), repository_of_tests(tmp_path)
    commit = origin.git("rev-parse", "HEAD").strip()
    (tmp_path / "published").mkdir()
    with message_servers.mail() as (port, mails):
        keys = secret(
            tmp_path,
            NOTIFY_WEBHOOK=f"{server.url}/hook",
            NOTIFY_URLS=f"failed=mailto://127.0.0.1:{port}?from=ci@example.com&to=a@example.com"
            "&mode=insecure",
            GITHUB_TOKEN="ghs_s3cret-token",
        )

        ended, log = notebook_ci(
            tmp_path,
            origin,
            tests,
            keys,
            notebooks_revision=commit,
            publish_to=f"{tmp_path}/published",
            publish_url="https://pages.example.com",
            notify="true",
            notify_attach="true",
            commit_status_repository="lab/notebooks",
            github_api_url=server.url,
            link="https://dashboard.example.com/run-1",
        )

    assert ended == code, log
    published = {path.name for path in (tmp_path / "published/run-1").iterdir()}
    kept = {path.name for path in (tmp_path / "work/run-1/artifacts").iterdir()}
    assert kept - published == {"output_analysis.progress.json"}
    assert published <= kept
    assert {
        "STEP_SUMMARY.md",
        "report.html",
        "run.json",
        "manifest.json",
        "output_analysis.html",
    } <= published
    record = json.loads((tmp_path / "published/run-1/run.json").read_text())
    run_records.validate(record)
    assert (record["verdict"], record["repositories"][0]["commit"]) == (verdict, commit)
    assert record["identity"]["url"] == "https://dashboard.example.com/run-1"
    assert "run.json" not in {artifact["path"] for artifact in record["artifacts"]}
    statuses = posts(server, f"/repos/lab/notebooks/statuses/{commit}")
    assert [status["state"] for status in statuses] == ["pending", state]
    (message,) = posts(server, "/hook")
    assert message["verdict"] == verdict
    assert message["link"] == "https://pages.example.com/run-1/report.html"
    assert [attached(one) for one in mails] == ([] if code == 0 else [["report.html"]])
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "secret" not in path.parts]
    assert not [path for path in left if b"s3cret" in path.read_bytes()]
    assert "s3cret" not in log


def test_datasets_are_there_before_the_notebook_runs_and_stay_for_the_next_run(
    tmp_path: Path,
) -> None:
    content = b"counts " * 1000
    origin = Origin(tmp_path / "notebooks")
    source = "import pathlib; print(len(pathlib.Path('h5/counts.bin').read_bytes()))"
    write_notebook(origin.path / "nb/a.ipynb", source)
    tests = repository_of_tests(tmp_path)
    with data_server.serving(content) as served:
        dataset = {"url": f"{served.url}/counts.bin", "sha256": sha256(content).hexdigest()}
        manifest = {"datasets": [{**dataset, "path": "h5/counts.bin"}]}
        (origin.path / "datasets.json").write_text(json.dumps(manifest))
        origin.commit("notebook and manifest")
        one_url = {f"dataset_{name}": value for name, value in dataset.items()}
        ways = {
            "run-1": {"dataset_manifest": "datasets.json"},
            "run-2": {**one_url, "dataset_path": "h5/counts.bin", "dataset_size": "7 kB"},
        }
        for run, given in ways.items():
            given["dataset_directory"] = "nb"
            ended, log = notebook_ci(tmp_path, origin, tests, run=run, **given)
            assert ended == 0, log
            assert "7000" in (tmp_path / f"work/{run}/artifacts/papermill.log").read_text()
    reports = [
        json.loads((tmp_path / f"work/{run}/reports/download-dataset.json").read_text())["outputs"]
        for run in ("run-1", "run-2")
    ]
    assert [(one["downloaded"], one["from-cache"]) for one in reports] == [(7000, 0), (0, 7000)]


def test_a_notification_that_cannot_be_sent_does_not_fail_a_run(tmp_path: Path) -> None:
    origin, tests = notebooks(tmp_path, a="1"), repository_of_tests(tmp_path)
    keys = secret(tmp_path, NOTIFY_WEBHOOK="http://127.0.0.1:1/hook")

    ended, log = notebook_ci(tmp_path, origin, tests, keys, notify="true")

    assert ended == 0, log
    report = json.loads((tmp_path / "work/run-1/reports/notify.json").read_text())
    assert (report["status"], report["exit_code"]) == ("failed", 4)
    assert "passed" in (tmp_path / "work/run-1/artifacts/STEP_SUMMARY.md").read_text()


def test_a_step_that_was_killed_leaves_its_page_its_tests_and_its_cells(tmp_path: Path) -> None:
    """As a container that is killed for memory: nothing of the step goes on, and no result."""
    saved = "../../artifacts/output_analysis.ipynb"
    origin = Origin(tmp_path / "notebooks")
    kill = "os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)"
    wait = (
        f"import os, pathlib, time\nwhile 'ke' 'pt' not in pathlib.Path({saved!r}).read_text():\n"
    )
    write_notebook(
        origin.path / "nb/a.ipynb", "print('ke' + 'pt')", f"{wait}    time.sleep(0.1)\n{kill}", "3"
    )
    origin.commit("notebook")

    ended, log = run_local(
        tmp_path,
        "notebook-ci",
        notebooks_url=origin.url,
        notebook="nb/a.ipynb",
        tests_url=repository_of_tests(tmp_path).url,
        marker="",
        installer="none",
    )

    assert ended == 4, log
    results = {task["task"]: task["results"] for task in report_of(tmp_path)["outputs"]["tasks"]}
    assert results["summarize"]["verdict"] == "failed"
    assert results["summarize"]["reason"] == "killed"
    place = tmp_path / "work/run-1/artifacts"
    listed = {one["path"] for one in json.loads((place / "manifest.json").read_text())["artifacts"]}
    assert {"output_analysis.html", "output_analysis.ipynb", "pytest_results.xml"} <= listed
    (cells,) = suites(place / "notebook_cells.xml")
    never = "started and never ended: killed from outside"
    assert cases(cells) == [("the whole run", "error", never)]
    summary = (place / "STEP_SUMMARY.md").read_text()
    assert "**execute-notebook failed** (killed)" in summary
    assert "1 cell ok, 1 stopped, 1 not run" in summary
    assert "1 of 1 passed" in summary


def test_notebooks_side_by_side_have_one_report(tmp_path: Path) -> None:
    origin = notebooks(tmp_path, good="print('kept')", bad="{}['pca']", other="1")
    names = [f"nb/{name}.ipynb" for name in ("good", "bad", "other")]

    ended, log = run_local(
        tmp_path, "notebook-matrix", notebooks_url=origin.url, notebooks=json.dumps(names)
    )

    assert ended == 3, log
    place = tmp_path / "work/run-1"
    for name in names:
        left = {path.name for path in (place / "artifacts" / name).iterdir()}
        assert {"output_analysis.ipynb", "output_analysis.html", "papermill.log"} <= left
    summary = (place / "artifacts/STEP_SUMMARY.md").read_text()
    assert "**nb/bad.ipynb failed** (cell-error, exit code 3)" in summary
    assert "| nb/good.ipynb | succeeded |" in summary
    assert "| nb/other.ipynb | succeeded |" in summary
    listed = json.loads((place / "artifacts/manifest.json").read_text())["artifacts"]
    assert "nb/good.ipynb/output_analysis.html" in {artifact["path"] for artifact in listed}
    record = json.loads((place / "artifacts/run.json").read_text())
    run_records.validate(record)
    assert [(notebook["path"], notebook["status"]) for notebook in record["notebooks"]] == [
        ("../source/nb/good.ipynb", "passed"),
        ("../source/nb/bad.ipynb", "failed"),
        ("../source/nb/other.ipynb", "passed"),
    ]
    assert record["notebooks"][0]["page"] == "nb/good.ipynb/output_analysis.html"
    assert (record["cause"]["notebook"], record["cause"]["cell"]) == (1, 0)
    assert record["cause"]["error"]["evalue"] == "'pca'"
    assert record["identity"]["id"] == "run-1"


def test_results_of_every_task_stay_below_1_kib_also_where_it_fails(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    run = tmp_path_factory.mktemp("r")  # still longer than a workspace's path on a cluster
    origin = notebooks(run, a="raise ValueError('why ' * 500)")

    ended, log = notebook_ci(run, origin, repository_of_tests(run))

    assert ended == 3, log
    results = {task["task"]: task["results"] for task in report_of(run)["outputs"]["tasks"]}
    assert results["execute-notebook"]["reason"] == "cell-error"
    assert results["summarize"]["verdict"] == "failed"
    for name, written in results.items():
        size = sum(len(str(value).encode()) for value in written.values())
        assert size <= MOST_RESULTS, name
