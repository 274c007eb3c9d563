"""The index beside its runs: what is read, written, and kept when several write at once."""

import json
import multiprocessing
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import run_records

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.formats import json_schema
from stepkit.formats.shorten import shorten
from stepkit.report.index import index_page, keep_index, runs_json
from stepkit.report.index.directory_store import DirectoryStore
from stepkit.report.run_json import RunJson
from stepkit.system import locks

SCHEMA = Path(runs_json.__file__).with_name("runs.schema.json")


def write(directory: Path, hour: int = 10, *, record: RunJson | None = None, **values: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    started = f"2026-11-30T{hour:02}:00:00.000+00:00"
    made = {**(record or run_records.run()), "started": started, **values}
    (directory / "run.json").write_text(json.dumps(made))
    (directory / "report.html").write_text("report")
    return directory / "run.json"


def keep(root: Path) -> keep_index.Kept:
    return keep_index.keep(DirectoryStore(root))


def read(root: Path) -> Any:
    """Return runs.json, which must fit its schema."""
    found = json.loads((root / "runs.json").read_text())
    problems = json_schema.find_problems(found, SCHEMA)
    assert not problems, problems
    return found


def test_the_index_links_each_report_and_the_pointers_lead_to_the_latest(tmp_path: Path) -> None:
    write(tmp_path / "team/run 1", 9)
    write(tmp_path / "run-2/artifacts", 10, record=run_records.failed())
    (tmp_path / "run-3").mkdir()
    (tmp_path / "run-3/run_lite.json").write_text(json.dumps(run_records.run(started=None)))

    kept = keep(tmp_path)

    assert (kept.read, kept.pages, len(kept.unreadable)) == (3, 1, 0)
    found = read(tmp_path)
    assert [(r["path"], r["report"]) for r in found["runs"]] == [
        ("run-2/artifacts/run.json", "run-2/artifacts/report.html"),
        ("team/run 1/run.json", "team/run 1/report.html"),
        ("run-3/run_lite.json", ""),
    ]
    page = (tmp_path / "index.html").read_text()
    assert '<a href="run-2/artifacts/report.html">' in page
    assert '<a href="team/run%201/report.html">' in page
    assert '<a href="run-3/run_lite.json">' in page
    assert "passed 2 of the last 3" in page
    assert 'url=../run-2/artifacts/report.html"' in (tmp_path / "latest/index.html").read_text()
    passed = (tmp_path / "latest-passed/index.html").read_text()
    assert 'url=../team/run%201/report.html"' in passed


def test_a_notebook_that_never_ran_has_the_history_of_the_one_that_did(tmp_path: Path) -> None:
    write(tmp_path / "run-1", 9)
    write(tmp_path / "run-2", 10, record=run_records.not_checked_out())
    other = run_records.run()
    other["notebooks"][0]["in_repository"] = "other/scrna_preprocessing.ipynb"
    write(tmp_path / "run-3", 11, record=other)

    keep(tmp_path)

    failing, passing = read(tmp_path)["notebooks"]
    assert failing["path"] == "notebooks/scrna_preprocessing.ipynb"
    assert failing["results"] == [
        {"passed": True, "path": "run-1/run.json"},
        {"passed": False, "path": "run-2/run.json"},
    ]
    assert (passing["path"], passing["of"]) == ("other/scrna_preprocessing.ipynb", 1)
    page = (tmp_path / "index.html").read_text()
    assert '<a class="bad" href="run-2/report.html" aria-label="failed: run-2/run.json">' in page


@pytest.mark.parametrize(("last", "tone"), [("failed", "bad"), ("run", "ok")])
def test_the_page_has_the_colour_of_its_worst_notebook(
    tmp_path: Path, last: str, tone: str
) -> None:
    write(tmp_path / "run-1", 9, record=getattr(run_records, last)())
    other = run_records.run()
    other["notebooks"][0]["in_repository"] = "other.ipynb"
    write(tmp_path / "run-2", 10, record=other)

    keep(tmp_path)

    assert f'<body class="{tone}">' in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(("peak", "shown"), [(20 << 30, True), (None, False)])
def test_a_column_for_gpu_memory_is_there_if_a_run_used_some(
    tmp_path: Path, peak: int | None, *, shown: bool
) -> None:
    record = run_records.run()
    record["notebooks"][0]["gpu_peak"] = peak
    write(tmp_path / "run", record=record)

    keep(tmp_path)

    page = (tmp_path / "index.html").read_text()
    assert ("GPU peak" in page) is shown
    assert ("20.0 GiB" in page) is shown


def test_a_run_with_regressions_flaky_or_reused_notebooks_says_so(tmp_path: Path) -> None:
    record = run_records.batch()
    record["notebooks"][0]["status"] = record["notebooks"][1]["status"] = "flaky"
    record["notebooks"][2]["status"] = "reused"
    worse: Any = {"regressions": ["slower", "more"]}
    write(tmp_path / "1", record=record, comparison=worse, cause=None)

    keep(tmp_path)

    assert "2 flaky; 1 reused; 2 regressions" in (tmp_path / "index.html").read_text()


def test_only_new_and_changed_records_are_read_again(tmp_path: Path) -> None:
    first = write(tmp_path / "1", 9)
    write(tmp_path / "2", 10)
    keep(tmp_path)
    write(tmp_path / "3", 11)
    first.write_text(json.dumps(run_records.failed()))

    kept = keep(tmp_path)

    assert kept.read == 2
    assert {r["path"]: r["verdict"] for r in read(tmp_path)["runs"]} == {
        "1/run.json": "failed",
        "2/run.json": "passed",
        "3/run.json": "passed",
    }


def test_a_run_that_was_removed_leaves_the_index_and_a_later_report_comes_in(
    tmp_path: Path,
) -> None:
    (tmp_path / "1").mkdir()
    write(tmp_path / "1").with_name("report.html").unlink()
    removed = write(tmp_path / "2")
    keep(tmp_path)
    removed.unlink()
    (tmp_path / "1/report.html").write_text("late")

    kept = keep(tmp_path)

    assert kept.read == 0
    assert [r["report"] for r in read(tmp_path)["runs"]] == ["1/report.html"]


def test_torn_hostile_and_unreadable_records_are_listed_as_such(tmp_path: Path) -> None:
    write(tmp_path / "good")
    for name, content in {"torn": '{"schema": ', "other": "[]", "empty": ""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
    (tmp_path / "link").mkdir()
    (tmp_path / "link/run.json").symlink_to("/dev/zero")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe/run.json")
    huge = write(tmp_path / "huge")
    os.truncate(huge, 51 << 20)  # sparse

    kept = keep(tmp_path)

    assert {row["path"]: row["unreadable"] for row in kept.unreadable} == {
        "torn/run.json": "it is not whole",
        "other/run.json": "it is not the record of a run (stepkit.run/1)",
        "empty/run.json": "it is empty",
        "huge/run.json": "it has more than 50 MiB",
        "pipe/run.json": shorten(
            f"cannot read {tmp_path / 'pipe/run.json'}: it is not a regular file", 120
        ),
    }
    read(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "○ unreadable" in page
    assert "it is not whole" in page


def test_hostile_text_is_text_in_the_page(tmp_path: Path) -> None:
    evil = "</style><script>alert(1)</script>\u202e\x1b[31m"
    record = run_records.failed()
    record["notebooks"][0].update({"name": evil, "variant": '"><img src=x>'})
    assert record["cause"]
    record["cause"]["message"] = evil
    record["repositories"][0]["commit"] = evil
    write(tmp_path / 'a"><script>', record=record, title=evil)

    keep(tmp_path)

    for name in ("index.html", "latest/index.html"):
        page = (tmp_path / name).read_text()
        assert "<script>alert" not in page
        assert "<img" not in page
        assert 'a"><script>' not in page
        assert "\u202e" not in page


def test_a_run_in_a_directory_whose_name_is_not_utf_8_is_linked(tmp_path: Path) -> None:
    write(tmp_path / "r\udcff")

    keep(tmp_path)

    read(tmp_path)
    assert 'href="r%FF/report.html"' in (tmp_path / "index.html").read_text()
    assert "../r%FF/report.html" in (tmp_path / "latest/index.html").read_text()


@pytest.mark.parametrize(
    "content",
    [
        '{"schema": "stepkit.runs/1", "runs": ',
        '{"schema": "stepkit.runs/1", "runs": [{"path": "1/run.json", "version": "x"}]}',
        '{"schema": "stepkit.runs/1", "runs": [{}, 7], "targets": {"success": "all"}}',
        '{"schema": "stepkit.runs/1", "runs": [], "targets": []}',
    ],
)
def test_a_runs_json_that_cannot_be_used_is_made_anew(tmp_path: Path, content: str) -> None:
    write(tmp_path / "1")
    keep(tmp_path)
    (tmp_path / "runs.json").write_text(content)

    keep(tmp_path)

    assert [row["path"] for row in read(tmp_path)["runs"]] == ["1/run.json"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("index.html", "<h1>my own page</h1>"),
        ("latest/index.html", "<h1>my own page</h1>"),
        ("runs.json", "[]"),
        ("runs.json", '{"schema": "stepkit.runs/2", "runs": []}'),
    ],
)
def test_a_file_that_is_not_an_index_is_not_replaced(
    tmp_path: Path, name: str, content: str
) -> None:
    write(tmp_path / "1")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)

    with pytest.raises(ConfigurationError, match=f"{name} is not the index of this stepkit"):
        keep(tmp_path)

    assert (tmp_path / name).read_text() == content
    assert {path.name for path in tmp_path.iterdir()} == {"1", Path(name).parts[0]}


def test_a_link_does_not_lead_the_index_out_of_its_directory(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    write(tmp_path / "root/1")
    (tmp_path / "root/latest").symlink_to(tmp_path / "outside")

    with pytest.raises(ConfigurationError, match=r"latest/index\.html leads out of .*/root"):
        keep(tmp_path / "root")

    assert list((tmp_path / "outside").iterdir()) == []


def test_rows_of_an_earlier_stepkit_are_read_again_and_targets_stay(tmp_path: Path) -> None:
    write(tmp_path / "1")
    keep_index.keep(DirectoryStore(tmp_path), targets={"success": 80.0})
    before = read(tmp_path)
    del before["runs"][0]["regressions"]
    (tmp_path / "runs.json").write_text(json.dumps(before))

    kept = keep(tmp_path)

    assert kept.read == 1
    assert read(tmp_path)["targets"]["success"] == 80.0


def test_targets_stay_until_others_are_given(tmp_path: Path) -> None:
    write(tmp_path / "run")
    keep_index.keep(DirectoryStore(tmp_path), targets={"success": 80.0, "recovery_ms": 2})

    keep_index.keep(DirectoryStore(tmp_path), targets={"success": 70.0})

    assert read(tmp_path)["targets"] == {
        "success": 70.0, "duration_ms": 1_800_000, "gpu_utilisation": 70.0, "recovery_ms": 2
    }  # fmt: skip


def test_a_directory_without_runs_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()

    with pytest.raises(ConfigurationError) as caught:
        keep_index.keep(DirectoryStore(tmp_path / "team/../team"))

    assert str(caught.value) == (
        f"there is no run.json below {tmp_path}/team: `stepkit summarize` writes one for each run"
    )
    assert caught.value.reason == Reason.NOT_FOUND
    assert list((tmp_path / "team").iterdir()) == []


def test_an_index_whose_last_run_was_removed_has_no_runs(tmp_path: Path) -> None:
    write(tmp_path / "run").parent.joinpath("report.html").unlink()
    keep(tmp_path)
    (tmp_path / "run/run.json").unlink()

    keep(tmp_path)

    assert "No runs yet" in (tmp_path / "index.html").read_text()
    assert "There is none yet" in (tmp_path / "latest/index.html").read_text()
    assert read(tmp_path)["runs"] == []


def test_pages_of_five_hundred_runs_link_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_page, "PER_PAGE", 2)
    for hour in range(5):
        write(tmp_path / str(hour), hour)

    kept = keep(tmp_path)

    assert kept.pages == 3
    first, second, third = (
        (tmp_path / name).read_text() for name in ("index.html", "index-2.html", "index-3.html")
    )
    assert 'href="4/report.html"' in first
    assert 'href="2/report.html"' in second
    assert 'href="0/report.html"' in third
    assert '<a href="index-2.html">2</a>' in first
    assert '<a href="index.html">1</a>' in third
    assert 'id="figures"' in first
    assert 'id="figures"' not in second


class Contended(DirectoryStore):
    """A store without locks, in which another run comes in between a few times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times
        self.root = root

    def exclusive(self) -> AbstractContextManager[None]:
        return nullcontext()

    def replace(self, key: str, content: bytes, media_type: str, *, version: str | None) -> bool:
        if key == "index.html" and self.times:
            self.times -= 1
            write(self.root / f"other-{self.times}")
            keep(self.root)
        return super().replace(key, content, media_type, version=version)


@pytest.mark.usefixtures("no_pauses")
def test_who_comes_in_between_is_in_the_index_afterwards(tmp_path: Path) -> None:
    write(tmp_path / "mine")

    keep_index.keep(Contended(tmp_path, 3))

    page = (tmp_path / "index.html").read_text()
    for name in ("mine", "other-0", "other-1", "other-2"):
        assert f'href="{name}/report.html"' in page


@pytest.mark.usefixtures("no_pauses")
def test_a_store_that_never_rests_ends_the_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run")
    monkeypatch.setattr(keep_index, "_ATTEMPTS", 3)
    monkeypatch.setattr(DirectoryStore, "replace", lambda *_, **__: False)

    with pytest.raises(ToolError, match="other runs changed the index while it was made, 3 times"):
        keep(tmp_path)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepkit.report.index.keep_index.time.sleep", lambda _: None)


def _publish(root: str, number: int) -> None:
    write(Path(root, f"run-{number}"))
    keep(Path(root))


def test_eight_runs_that_end_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_publish, args=(str(tmp_path), n)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0] * 8
    assert len(read(tmp_path)["runs"]) == 8
    page = (tmp_path / "index.html").read_text()
    assert all(f'href="run-{n}/report.html"' in page for n in range(8))


def test_who_comes_while_the_index_is_written_waits(tmp_path: Path) -> None:
    write(tmp_path / "1")
    late = threading.Thread(target=keep, args=(tmp_path,))

    with locks.locked_directory(tmp_path):
        late.start()
        late.join(0.2)
        assert not (tmp_path / "runs.json").exists()

    late.join(60)
    assert len(read(tmp_path)["runs"]) == 1


def test_the_time_of_the_index_is_now(tmp_path: Path) -> None:
    write(tmp_path / "run")
    keep(tmp_path)

    updated = datetime.fromisoformat(read(tmp_path)["updated"])
    assert abs((datetime.now(UTC) - updated).total_seconds()) < 600
