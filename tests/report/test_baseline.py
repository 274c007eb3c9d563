"""Where the baseline of a comparison is read from, and which of many runs it is."""

import json
import logging
import os
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import data_server
import loopback
import pytest
import run_records

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.report import baseline
from stepkit.report.index import keep_index
from stepkit.report.index.directory_store import DirectoryStore
from stepkit.report.run_json import RunJson


def began(hour: int, **values: object) -> RunJson:
    return run_records.run(started=f"2026-11-30T{hour:02}:00:00.000+00:00", **values)


def write(path: Path, run: RunJson) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run))
    return path


def test_of_many_runs_the_latest_that_passed_and_ran_the_notebook_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = [run_records.notebook(name="other")]
    write(tmp_path / "a/run.json", began(7))
    write(tmp_path / "team/b/artifacts/run.json", began(9))
    write(tmp_path / "c/run_lite.json", began(8))
    write(tmp_path / "published/c/run_lite.json", began(8))
    write(tmp_path / "failed/run.json", began(10, verdict="failed"))
    write(tmp_path / "other/run.json", began(10, notebooks=other))
    write(tmp_path / "now/run.json", began(11))
    write(tmp_path / "later/run.json", began(12))
    write(tmp_path / ".hidden/run.json", began(10))
    (tmp_path / "linked.d").mkdir()
    (tmp_path / "linked.d/run.json").symlink_to(tmp_path / "a/run.json")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/run.json").write_text('{"schema": "stepkit.run/1", ')

    with caplog.at_level(logging.WARNING):
        found = baseline.read(str(tmp_path), began(11))

    assert found.source == str(tmp_path / "team/b/artifacts/run.json")
    assert [run["started"] for run in (found.run, *found.earlier)] == [
        f"2026-11-30T0{hour}:00:00.000+00:00" for hour in (9, 8, 7)
    ]
    assert f"left out: {tmp_path / 'torn/run.json'} is not whole" in caplog.text


def test_a_directory_with_its_own_record_is_that_run(tmp_path: Path) -> None:
    write(tmp_path / "artifacts/run.json", began(7))
    write(tmp_path / "other/run.json", began(8))

    found = baseline.read(str(tmp_path))

    assert (found.run["started"], found.earlier) == ("2026-11-30T07:00:00.000+00:00", ())


def test_without_an_earlier_run_it_says_how_many_were_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "a/run.json", began(9, verdict="failed"))

    with pytest.raises(ConfigurationError, match=r"no earlier run in .*: 1 records") as caught:
        baseline.read(str(tmp_path), began(10))

    assert caught.value.reason == Reason.NOT_FOUND


def test_only_the_latest_records_of_a_directory_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "_MOST_READ", 2)
    for hour in range(5):
        path = write(tmp_path / f"{hour}/run.json", began(hour))
        os.utime(path, (hour, hour))

    found = baseline.read(str(tmp_path), began(10))

    assert [run["started"][11:13] for run in (found.run, *found.earlier) if run["started"]] == [
        "04", "03"
    ]  # fmt: skip


def test_a_web_address_is_read_and_shown_without_its_signature() -> None:
    with data_server.serving(json.dumps(began(7)).encode()) as server:
        found = baseline.read(f"{server.url}/latest-passed/run.json?signature=secret")

    assert found.run["started"] == "2026-11-30T07:00:00.000+00:00"
    assert found.source.endswith("run.json?...")


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_fails_is_asked_again() -> None:
    with data_server.serving(json.dumps(began(7)).encode()) as server:
        server.faults = [data_server.status(503), data_server.cut()]
        found = baseline.read(server.url)

        assert len(server.requests) == 3
    assert found.run["verdict"] == "passed"


@pytest.mark.usefixtures("no_waiting")
def test_a_server_without_the_run_or_with_something_else_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with data_server.serving(b"<html>please log in</html>") as server:
        with pytest.raises(ConfigurationError, match="is not whole"):
            baseline.read(server.url)
        server.faults = [data_server.status(404)]
        with pytest.raises(ConfigurationError, match="HTTP 404: check the URL") as caught:
            baseline.read(server.url)
        assert caught.value.reason == Reason.NOT_FOUND
        server.always = data_server.status(503)
        with pytest.raises(ToolError, match="HTTP 503"):
            baseline.read(server.url)
        server.always = data_server.fine
        monkeypatch.setattr(baseline, "_LARGEST", 10)
        with pytest.raises(ConfigurationError, match="it is not run"):
            baseline.read(server.url)


class Site(loopback.Handler):
    """A web server of the files in ``root``."""

    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.root / unquote(self.path).lstrip("/")
        if path.is_file():
            self.answer(200, path.read_bytes())
        else:
            self.answer(404)


def test_of_a_published_index_the_latest_runs_are_downloaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for hour in range(6):
        write(tmp_path / f"run {hour}/run.json", began(hour))
    write(tmp_path / "failed/run.json", began(7, verdict="failed"))
    write(tmp_path / "other/run.json", began(7, notebooks=[run_records.notebook(name="other")]))
    write(tmp_path / "later/run.json", began(9))
    keep_index.keep(DirectoryStore(tmp_path))
    (tmp_path / "run 4/run.json").unlink()
    index = json.loads((tmp_path / "runs.json").read_text())
    index["runs"].insert(0, {**index["runs"][0], "path": "../outside/run.json"})
    index["runs"].insert(0, {**index["runs"][0], "path": "//127.0.0.1:1/run.json"})
    (tmp_path / "runs.json").write_text(json.dumps(index))
    asked: list[str] = []
    handler = type("Handler", (Site,), {"root": tmp_path, "asked": asked})

    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        found = baseline.read(f"{url}/runs.json", began(8))

    assert found.source == f"{url}/run%205/run.json"
    assert not {"/failed/run.json", "/other/run.json"} & set(asked)
    assert [(run["started"] or "")[11:13] for run in (found.run, *found.earlier)] == [
        "05", "03", "02", "01", "00"
    ]  # fmt: skip
    assert [
        record.getMessage() for record in caplog.records if "left out" in record.getMessage()
    ] == [f"left out: {url}/run%204/run.json: the server answered HTTP 404: check the URL"]


@pytest.mark.parametrize("where", ["s3://bucket/run.json", "ftp://host/run.json"])
def test_another_kind_of_address_is_refused(where: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot read a baseline from"):
        baseline.read(where)
