"""publish-artifacts --index and `stepkit index`: one page of all runs, beside them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import commands
import pytest
import run_records
from object_storage_server import Faulty, Storage, faulty, serving

from stepkit.artifacts.s3 import Bucket
from stepkit.cli.commands import index
from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.report.index import keep_index
from stepkit.steps import collect_artifacts, publish_artifacts
from stepkit.steps.publish_artifacts import Options, Outputs

KEYS: dict[str, Any] = {"access_key_id": "a-key", "secret_access_key": "a-secret-key"}


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        yield storage


@pytest.fixture
def front(storage: Storage) -> Iterator[Faulty]:
    with faulty(storage) as control:
        yield control


@dataclass(frozen=True)
class Runs:
    """Collected artifacts of runs, and the bucket or directory that they are published to."""

    root: Path
    destination: str

    def artifacts(self, name: str, verdict: str = "passed", hour: int = 10) -> Path:
        directory = self.root / name
        directory.mkdir(parents=True)
        (directory / "output_analysis.html").write_text("page")
        collect_artifacts.run(collect_artifacts.Options(artifacts=directory))
        started = f"2026-11-30T{hour:02}:00:00.000+00:00"
        record = run_records.run(verdict=verdict, started=started)
        (directory / "run.json").write_text(json.dumps(record))
        (directory / "report.html").write_text("report")
        return directory

    def publish(self, name: str, url: str = "", **more: Any) -> Outputs:
        artifacts = self.root / name
        if not artifacts.exists():
            self.artifacts(name)
        usual = {"destination": self.destination, "prefix": name, "index": True, "attempts": 2}
        server = {**KEYS, "endpoint_url": url} if url else {}
        return publish_artifacts.run(Options(**{"artifacts": artifacts, **usual, **server, **more}))


@pytest.fixture
def mounted(tmp_path: Path) -> Runs:
    (tmp_path / "there").mkdir()
    return Runs(tmp_path / "runs", str(tmp_path / "there"))


@pytest.fixture
def stored(tmp_path: Path, storage: Storage) -> Runs:
    return Runs(tmp_path, storage.bucket(tmp_path.name.replace("_", "-")[-60:]) + "/nightly")


def rows(content: bytes) -> dict[str, str]:
    return {row["path"]: row["report"] for row in json.loads(content)["runs"]}


def key(runs: Runs, name: str) -> str:
    return f"{runs.destination.removeprefix('s3://')}/{name}"


def test_in_a_directory_the_index_lies_beside_the_runs(mounted: Runs) -> None:
    mounted.artifacts("run-1", "failed", 9)
    mounted.publish("run-1")

    done = mounted.publish("run-2", url_base="https://pages.example.com/runs")

    assert (done.index, done.status) == ("https://pages.example.com/runs/index.html", "succeeded")
    there = Path(mounted.destination)
    assert rows((there / "runs.json").read_bytes()) == {
        "run-2/run.json": "run-2/report.html",
        "run-1/run.json": "run-1/report.html",
    }
    assert 'href="run-1/report.html"' in (there / "index.html").read_text()
    assert "../run-2/report.html" in (there / "latest/index.html").read_text()


def test_in_a_bucket_the_index_is_made_of_the_listing(stored: Runs, storage: Storage) -> None:
    stored.publish("run-1", storage.url)
    done = stored.publish("run-2", storage.url)

    assert done.index == f"{stored.destination}/index.html"
    assert rows(storage.get(key(stored, "runs.json"))[0]).keys() == {
        "run-1/run.json",
        "run-2/run.json",
    }
    page, headers = storage.get(key(stored, "latest/index.html"))
    assert b"../run-" in page
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"


def test_an_unchanged_record_is_not_downloaded_again(stored: Runs, storage: Storage) -> None:
    for number in range(3):
        stored.publish(f"run-{number}", storage.url, index=False)
    done = index.run(index.Options(runs=stored.destination, **KEYS, endpoint_url=storage.url))
    again = index.run(index.Options(runs=stored.destination, **KEYS, endpoint_url=storage.url))

    assert done.message.startswith("3 runs, 3 of them new or changed: s3://")
    assert again.message.startswith("3 runs, 0 of them new or changed: s3://")


def test_another_run_that_comes_in_between_is_in_the_index(
    stored: Runs, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.publish("run-1", storage.url)
    replace, left = Bucket.replace, ["run-2", "run-3"]

    def contended(self: Bucket, key: str, *args: Any, **more: Any) -> bool:
        if key == "index.html" and left:
            stored.publish(left.pop(), storage.url)
        return replace(self, key, *args, **more)

    monkeypatch.setattr(Bucket, "replace", contended)
    monkeypatch.setattr("stepkit.report.index.keep_index.time.sleep", lambda _: None)
    stored.publish("run-4", storage.url)

    page = storage.get(key(stored, "index.html"))[0].decode()
    assert all(f'href="run-{number}/report.html"' in page for number in range(1, 5))


def test_a_server_without_conditional_writes_keeps_no_index_and_loses_no_run(
    stored: Runs, storage: Storage, front: Faulty, caplog: pytest.LogCaptureFixture
) -> None:
    stored.artifacts("run-1")
    stored.publish("run-1", storage.url, index=False)
    front.always = 501

    done = stored.publish("run-1", front.url)

    assert (done.status, done.missing, done.index) == ("tolerated", ("index.html",), "")
    assert done.message.endswith("; missing: index.html")
    assert "the server knows no conditional writes (If-Match)" in caplog.text
    assert storage.get(key(stored, "run-1/manifest.json"))


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_fails_for_a_moment_is_asked_again(
    stored: Runs, storage: Storage, front: Faulty
) -> None:
    stored.publish("run-1", storage.url, index=False)
    front.faults = [503]

    done = stored.publish("run-1", front.url)

    assert (done.status, done.sent) == ("succeeded", 0)
    assert rows(storage.get(key(stored, "runs.json"))[0])


def test_a_conflict_is_not_an_error_and_writes_nothing(stored: Runs, storage: Storage) -> None:
    options = Options(artifacts=Path(), destination="", **KEYS, endpoint_url=storage.url)
    bucket = Bucket(stored.destination, options.access, timeout=9)

    assert bucket.version("a.html") is None
    assert bucket.replace("a.html", b"1", "text/html", version=None)
    first = bucket.version("a.html")
    assert not bucket.replace("a.html", b"2", "text/html", version=None)
    assert bucket.replace("a.html", b"3", "text/html", version=first)
    assert not bucket.replace("a.html", b"4", "text/html", version=first)
    assert not bucket.replace("b.html", b"4", "text/html", version=first)

    (found,) = bucket.contents(["a.html"])
    assert found == ("a.html", b"3")
    ((_, missing),) = bucket.contents(["b.html"])
    assert isinstance(missing, ConfigurationError)
    assert set(bucket.listing()) == {"a.html"}


@pytest.mark.parametrize("status", [409, 412])
def test_a_write_that_another_one_delayed_is_a_conflict(
    stored: Runs, front: Faulty, status: int
) -> None:
    options = Options(artifacts=Path(), destination="", **KEYS, endpoint_url=front.url)
    bucket = Bucket(stored.destination, options.access, timeout=9)
    front.always = status

    assert not bucket.replace("a.html", b"1", "text/html", version='"x"')
    assert not bucket.replace("a.html", b"1", "text/html", version=None)


def test_no_bucket_and_no_answer_are_errors(stored: Runs, storage: Storage, front: Faulty) -> None:
    missing = {"runs": "s3://there-is-none", **KEYS, "endpoint_url": storage.url}
    with pytest.raises(ConfigurationError, match="is there a bucket there-is-none"):
        index.run(index.Options(**missing))
    stored.publish("run-1", storage.url)
    front.always = 500
    busy = {"runs": stored.destination, **KEYS, "endpoint_url": front.url, "attempts": 1}
    with pytest.raises(ToolError, match="HTTP 500"):
        index.run(index.Options(**busy))


def test_an_index_that_cannot_be_written_does_not_fail_the_run(
    mounted: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise ToolError("the disk is full")

    monkeypatch.setattr(keep_index, "keep", full)

    done = mounted.publish("run-1", attempts=1)

    assert (done.status, done.missing) == ("tolerated", ("index.html",))
    assert "no index: the disk is full; the next run, or `stepkit index`, makes it" in caplog.text


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("", "--index needs --prefix"),
        ("latest/run-1", "--prefix 'latest/run-1' is where the index has a page"),
    ],
)
def test_a_run_does_not_lie_where_the_index_does(mounted: Runs, prefix: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        mounted.publish("run-1", prefix=prefix)

    assert list(Path(mounted.destination).iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"runs": "/there/is/none"}, "there is no directory /there/is/none"),
        ({"runs": "ftp://host/runs"}, "cannot index ftp://: name a directory or s3://"),
        ({"success_target": 101.0}, "--success-target 101 is not a percentage from 0 to 100"),
        ({"utilisation_target": -1.0}, "--utilisation-target -1 is not a percentage"),
    ],
)
def test_what_cannot_be_indexed_is_refused_in_one_line(
    tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        index.run(index.Options(**{"runs": str(tmp_path), **more}))

    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_what_is_in_the_index_and_what_is_not(tmp_path: Path) -> None:
    for name, content in {"a": json.dumps(run_records.run()), "b": "{"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)

    done = commands.stepkit("index", tmp_path, "--duration-target", "5m")

    assert done.returncode == 0
    assert f"WARNING {tmp_path}/b/run.json: it is not whole" in done.stderr
    assert "2 runs, 2 of them new or changed, 1 unreadable: " in done.stderr.splitlines()[-1]
    assert json.loads((tmp_path / "runs.json").read_text())["targets"]["duration_ms"] == 300_000


def _publish_at_once(runs: Runs, *more: str) -> None:
    processes = []
    for number in range(8):
        command = [
            sys.executable, "-P", "-m", "stepkit", "publish-artifacts", "--index", "true",
            "--artifacts", str(runs.artifacts(f"run-{number}")), "--prefix", f"run-{number}",
            "--destination", runs.destination, *more,
        ]  # fmt: skip
        keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}
        processes.append(
            subprocess.Popen(command, env={**os.environ, **keys}, stderr=subprocess.PIPE, text=True)
        )
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "no index" not in said


@pytest.mark.slow
def test_eight_runs_that_end_at_once_are_all_in_the_index_of_a_directory(mounted: Runs) -> None:
    _publish_at_once(mounted)

    there = Path(mounted.destination)
    expected = {f"run-{number}/run.json": f"run-{number}/report.html" for number in range(8)}
    assert rows((there / "runs.json").read_bytes()) == expected
    page = (there / "index.html").read_text()
    assert all(f'href="{report}"' in page for report in expected.values())


@pytest.mark.slow
def test_eight_runs_that_end_at_once_are_all_in_the_index_of_a_bucket(
    stored: Runs, storage: Storage
) -> None:
    _publish_at_once(stored, "--endpoint-url", storage.url)

    expected = {f"run-{number}/run.json": f"run-{number}/report.html" for number in range(8)}
    assert rows(storage.get(key(stored, "runs.json"))[0]) == expected
    page = storage.get(key(stored, "index.html"))[0].decode()
    assert all(f'href="{report}"' in page for report in expected.values())
