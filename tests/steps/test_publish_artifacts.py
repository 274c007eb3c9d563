from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stepkit.artifacts import manifest as artifact_manifest
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.steps import collect_artifacts, publish_artifacts
from stepkit.steps.publish_artifacts import Options, Outputs

PAGE = b"<!doctype html><p>n\xc3\xa4chste</p>"


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """Collect three artifacts; the summary comes after the manifest."""
    directory = tmp_path / "out"
    (directory / "figures").mkdir(parents=True)
    (directory / "output_analysis.html").write_bytes(PAGE)
    (directory / "papermill.log").write_text("done\n")
    (directory / "figures/umap 1.png").write_bytes(b"\x89PNG")
    collect(directory)
    (directory / "STEP_SUMMARY.md").write_text("# passed\n")
    return directory


@pytest.fixture
def there(tmp_path: Path) -> Path:
    directory = tmp_path / "mount"
    directory.mkdir()
    return directory


def collect(directory: Path) -> None:
    collect_artifacts.run(collect_artifacts.Options(artifacts=directory))


def publish(artifacts: Path, there: Path | str, **more: Any) -> Outputs:
    return publish_artifacts.run(
        Options(artifacts=artifacts, destination=str(there), **{"prefix": "run-7", **more})
    )


def failed(artifacts: Path, there: Path | str, **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        publish(artifacts, there, **more)
    return caught.value


def names(directory: Path) -> set[str]:
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


ALL = {"output_analysis.html", "papermill.log", "figures/umap 1.png", "STEP_SUMMARY.md",
       "SHA256SUMS", "manifest.json"}  # fmt: skip


def test_everything_listed_and_what_came_after_it_is_published(
    artifacts: Path, there: Path
) -> None:
    outputs = publish(artifacts, there)

    assert names(there / "run-7") == ALL
    assert (there / "run-7/output_analysis.html").read_bytes() == PAGE
    assert (outputs.count, outputs.sent, outputs.unchanged) == (6, 6, 0)
    assert outputs.size == sum(p.stat().st_size for p in artifacts.rglob("*") if p.is_file())
    assert outputs.location == str(there / "run-7")
    assert outputs.url == ""
    assert outputs.status == "succeeded"
    assert outputs.message.endswith("6 sent, 0 unchanged")


def test_the_manifest_is_published_last(artifacts: Path, there: Path) -> None:
    assert publish(artifacts, there).published[-2:] == ("SHA256SUMS", "manifest.json")

    (artifacts / "papermill.log").unlink()
    with pytest.raises(UserCodeError):
        publish(artifacts, there, prefix="run-8")
    assert not (there / "run-8").exists()


def test_what_is_there_already_is_not_sent_again(artifacts: Path, there: Path) -> None:
    publish(artifacts, there)
    before = {p: p.stat().st_ino for p in there.rglob("*")}

    outputs = publish(artifacts, there)

    assert (outputs.count, outputs.sent, outputs.unchanged) == (6, 0, 6)
    assert {p: p.stat().st_ino for p in there.rglob("*")} == before


def test_an_interrupted_publication_is_completed(artifacts: Path, there: Path) -> None:
    publish(artifacts, there)
    (there / "run-7/manifest.json").unlink()
    (there / "run-7/papermill.log").unlink()

    assert publish(artifacts, there).sent == 2
    assert names(there / "run-7") == ALL


def test_files_that_are_not_listed_are_not_published(artifacts: Path, there: Path) -> None:
    (artifacts / "later.txt").write_text("came later")

    publish(artifacts, there)

    assert names(there / "run-7") == ALL
    publish(artifacts, there, also=("later*", "STEP_SUMMARY*.md"))
    assert (there / "run-7/later.txt").read_text() == "came later"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: path.write_text("over\n"), "papermill.log has sha256 "),
        (lambda path: path.write_text("longer text"), "papermill.log has 11 bytes, not 5"),
        (lambda path: path.unlink(), "papermill.log is gone"),
        (
            lambda path: (path.unlink(), path.symlink_to("/etc/hostname")),
            "papermill.log is not a regular file any more",
        ),
    ],
    ids=["same-size", "size", "gone", "link"],
)
def test_an_artifact_that_differs_from_the_manifest_is_not_published(
    artifacts: Path, there: Path, change: Callable[[Path], object], expected: str
) -> None:
    change(artifacts / "papermill.log")

    error = failed(artifacts, there)

    assert isinstance(error, UserCodeError)
    assert error.reason == Reason.CHECKSUM
    assert "1 of 3 artifacts changed since collect-artifacts listed them: " + expected in str(error)
    assert names(there) == set()


def test_a_directory_of_artifacts_that_became_a_link_is_not_followed(
    artifacts: Path, there: Path, tmp_path: Path
) -> None:
    (artifacts / "figures").rename(tmp_path / "elsewhere")
    (artifacts / "figures").symlink_to(tmp_path / "elsewhere")

    assert "figures/umap 1.png lies outside of" in str(failed(artifacts, there))


def test_another_file_of_the_same_name_is_replaced_only_with_overwrite(
    artifacts: Path, there: Path
) -> None:
    (there / "run-7").mkdir()
    other = there / "run-7/papermill.log"
    other.write_text("of another run\n")

    error = failed(artifacts, there)

    assert isinstance(error, ConfigurationError)
    assert "1 of 6 files are in" in str(error)
    assert "papermill.log; nothing was sent" in str(error)
    assert names(there / "run-7") == {"papermill.log"}
    assert other.read_text() == "of another run\n"
    publish(artifacts, there, overwrite=True)
    assert other.read_text() == "done\n"


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_only_a_regular_file_is_overwritten(artifacts: Path, there: Path, kind: str) -> None:
    (there / "run-7").mkdir()
    place = there / "run-7/papermill.log"
    if kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(artifacts / "papermill.log")

    assert "it is not a regular file" in str(failed(artifacts, there, overwrite=True))


def test_links_are_logged_below_the_web_address(
    artifacts: Path, there: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    outputs = publish(artifacts, there, url_base="https://pages.example.com/runs/")

    assert outputs.url == "https://pages.example.com/runs/run-7/STEP_SUMMARY.md"
    assert "https://pages.example.com/runs/run-7/figures/umap%201.png" in caplog.messages


def test_the_link_leads_to_the_named_page_or_to_the_best_one(artifacts: Path, there: Path) -> None:
    base = {"url_base": "https://x.example", "overwrite": True}

    assert publish(artifacts, there, page="papermill.log", **base).url.endswith("/papermill.log")
    (artifacts / "STEP_SUMMARY.md").unlink()
    assert publish(artifacts, there, **base).url.endswith("/output_analysis.html")
    (artifacts / "STEP_SUMMARY.html").write_text("<p>")
    also = ("STEP_SUMMARY*",)
    assert publish(artifacts, there, also=also, **base).url.endswith("/STEP_SUMMARY.html")


def test_a_summary_that_another_task_writes_is_waited_for(artifacts: Path, there: Path) -> None:
    summary = artifacts / "STEP_SUMMARY.md"
    summary.unlink()

    def write() -> None:
        time.sleep(0.3)
        (artifacts / "scratch").write_text("# failed\n")
        (artifacts / "scratch").rename(summary)

    thread = threading.Thread(target=write)
    thread.start()
    outputs = publish(artifacts, there, wait_for=(summary,))
    thread.join()

    assert (there / "run-7/STEP_SUMMARY.md").read_text() == "# failed\n"
    assert (outputs.status, outputs.missing) == ("succeeded", ())


def test_a_file_that_is_waited_for_is_published_whatever_its_name(
    artifacts: Path, there: Path
) -> None:
    (artifacts / "report.html").write_text("<p>")

    publish(artifacts, there, wait_for=(artifacts / "report.html",))

    assert "report.html" in names(there / "run-7")


def test_a_file_below_the_artifacts_that_is_waited_for_is_published_too(
    artifacts: Path, there: Path
) -> None:
    (artifacts / "pages").mkdir()
    (artifacts / "pages/report.html").write_text("<p>")

    publish(artifacts, there, wait_for=(artifacts / "pages/report.html",))

    assert (there / "run-7/pages/report.html").read_text() == "<p>"


def test_a_file_elsewhere_that_is_waited_for_stays_there(
    artifacts: Path, there: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "done").touch()

    outputs = publish(artifacts, there, wait_for=(tmp_path / "done",))

    assert (names(there / "run-7"), outputs.missing) == (ALL, ())
    assert f"{tmp_path}/done lies outside of {artifacts}: it is left there" in caplog.messages


def test_a_directory_is_not_the_file_that_is_waited_for(artifacts: Path, there: Path) -> None:
    (artifacts / "STEP_SUMMARY.md").unlink()
    (artifacts / "STEP_SUMMARY.md").mkdir()

    outputs = publish(artifacts, there, wait_for=(artifacts / "STEP_SUMMARY.md",), wait_timeout=0)

    assert (outputs.status, outputs.missing) == ("tolerated", (f"{artifacts}/STEP_SUMMARY.md",))


def test_a_manifest_that_is_rewritten_while_waiting_is_used(artifacts: Path, there: Path) -> None:
    summary = artifacts / "STEP_SUMMARY.md"
    summary.unlink()

    def write() -> None:
        time.sleep(0.3)
        (artifacts / "late.csv").write_text("1,2\n")
        collect(artifacts)
        summary.write_text("# passed\n")

    thread = threading.Thread(target=write)
    thread.start()
    publish(artifacts, there, wait_for=(summary,))
    thread.join()

    assert names(there / "run-7") == ALL | {"late.csv"}


def test_a_file_that_did_not_come_is_reported_and_the_rest_is_published(
    artifacts: Path, there: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = artifacts / "STEP_SUMMARY.md"
    summary.unlink()

    outputs = publish(artifacts, there, wait_for=(summary,), wait_timeout=0)

    assert names(there / "run-7") == ALL - {"STEP_SUMMARY.md"}
    assert (outputs.status, outputs.missing) == ("tolerated", (str(summary),))
    assert f"missing: {summary}" in outputs.message
    assert f"waited 0 s: {summary} did not come" in caplog.messages


def test_a_run_without_a_manifest_is_published_with_unlisted(artifacts: Path, there: Path) -> None:
    (artifacts / "manifest.json").unlink()
    (artifacts / "SHA256SUMS").unlink()
    error = failed(artifacts, there)
    assert "there is no manifest.json" in str(error)

    summary = artifacts / "STEP_SUMMARY.md"
    outputs = publish(artifacts, there, unlisted=True, wait_for=(summary,))

    assert names(there / "run-7") == ALL - {"manifest.json", "SHA256SUMS"}
    assert (outputs.status, outputs.missing) == ("tolerated", ("manifest.json",))
    assert outputs.message.endswith("; missing: manifest.json")


def test_a_run_without_a_manifest_is_refused_where_an_older_manifest_is(
    artifacts: Path, there: Path
) -> None:
    publish(artifacts, there)
    (artifacts / "manifest.json").unlink()
    (artifacts / "papermill.log").write_text("another run\n")

    error = failed(artifacts, there, unlisted=True, overwrite=True)

    assert isinstance(error, ConfigurationError)
    assert f"{there}/run-7/manifest.json lists what was published there before" in str(error)
    assert (there / "run-7/papermill.log").read_text() == "done\n"


def test_the_link_leads_to_a_file_that_exists(artifacts: Path, there: Path) -> None:
    base = {"url_base": "https://x.example", "page": "missing.html"}

    assert publish(artifacts, there, **base).url == "https://x.example/run-7/STEP_SUMMARY.md"
    for name in ("manifest.json", "STEP_SUMMARY.md", "output_analysis.html"):
        (artifacts / name).unlink()
    bare = publish(artifacts, there, unlisted=True, prefix="run-8", **base)
    assert bare.url == "https://x.example/run-8"


@pytest.mark.parametrize("name", ["n" * 255, "\N{SNOWMAN}" * 85, "a\udcff.txt"])
def test_any_valid_file_name_is_published(artifacts: Path, there: Path, name: str) -> None:
    (artifacts / name).write_text("x")
    collect(artifacts)

    outputs = publish(artifacts, there, url_base="https://x.example", page=name)

    assert (there / "run-7" / name).read_text() == "x"
    assert outputs.url == f"https://x.example/run-7/{quote(os.fsencode(name))}"


def test_artifacts_are_not_published_onto_themselves(artifacts: Path) -> None:
    error = failed(artifacts, artifacts.parent, prefix=artifacts.name)

    assert isinstance(error, ConfigurationError)
    assert str(error) == f"{artifacts} lies in the artifacts: publish to another directory"


@pytest.mark.parametrize("target", ["../away", "run-7"])
def test_a_prefix_that_became_a_link_is_not_followed(
    artifacts: Path, there: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "away").mkdir()
    (there / "run-7").symlink_to(target)

    error = failed(artifacts, there, attempts=1)

    assert isinstance(error, ConfigurationError)
    assert str(there / "run-7") in str(error)
    assert list((tmp_path / "away").iterdir()) == []


def test_a_file_behind_a_link_to_itself_is_reported_as_missing(
    artifacts: Path, there: Path
) -> None:
    (artifacts / "loop").symlink_to("loop")

    outputs = publish(artifacts, there, wait_for=(artifacts / "loop/x",), wait_timeout=0)

    assert outputs.missing == (f"{artifacts}/loop/x",)


def test_unlisted_changes_nothing_where_there_is_a_manifest(artifacts: Path, there: Path) -> None:
    (artifacts / "not-listed.txt").write_text("x")

    outputs = publish(artifacts, there, unlisted=True)

    assert names(there / "run-7") == ALL
    assert outputs.status == "succeeded"


def test_a_summary_older_than_the_manifest_is_not_published(
    artifacts: Path, there: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = artifacts / "STEP_SUMMARY.md"
    os.utime(summary, (1, 1))

    outputs = publish(artifacts, there, wait_for=(summary,), wait_timeout=0)

    assert outputs.status == "tolerated"
    assert "STEP_SUMMARY.md" not in names(there / "run-7")
    assert f"waited 0 s: {summary} is still as old as an earlier attempt" in caplog.messages


def test_a_summary_that_was_rewritten_after_the_manifest_is_published(
    artifacts: Path, there: Path
) -> None:
    collect(artifacts)
    (artifacts / "STEP_SUMMARY.md").write_text("# written anew\n")

    publish(artifacts, there)

    assert (there / "run-7/STEP_SUMMARY.md").read_text() == "# written anew\n"


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("nowhere", "there is no directory"),
        ("gs://bucket/x", "cannot publish to gs://: name a directory or s3://"),
        ("s3://B", "'s3://B' names no bucket: write s3://bucket/prefix"),
        ("s3://[b/x", "'s3://[b/x' names no bucket: write s3://bucket/prefix"),
        ("s3://key:word@bucket", "an s3:// destination is s3://bucket/prefix, without credentials"),
        ("out/copy", "lies in the artifacts: publish to another directory"),
    ],
)
def test_an_invalid_destination_is_refused(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, destination: str, expected: str
) -> None:
    monkeypatch.chdir(artifacts.parent)
    (artifacts / "copy").mkdir()

    error = failed(artifacts, destination)

    assert isinstance(error, ConfigurationError)
    assert expected in str(error)
    assert "word" not in str(error)


@pytest.mark.parametrize("prefix", ["../up", "a//b", "a/./b", "a\nb"])
def test_a_prefix_that_leads_elsewhere_is_refused(
    artifacts: Path, there: Path, prefix: str
) -> None:
    assert "is not a path below the destination" in str(failed(artifacts, there, prefix=prefix))


def test_without_artifacts_or_manifest_it_says_what_to_do(tmp_path: Path, there: Path) -> None:
    error = failed(tmp_path / "none", there)
    assert str(error) == f"there is no directory of artifacts {tmp_path / 'none'}"
    assert error.reason == Reason.NOT_FOUND

    (tmp_path / "none").mkdir()
    error = failed(tmp_path / "none", there)
    assert str(error).endswith("run collect-artifacts first")
    assert isinstance(error, ConfigurationError)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"path": "../secret"}, "artifacts[0].path is not a path inside the directory"),
        ({"path": "/etc/passwd"}, "artifacts[0].path is not a path inside the directory"),
        ({"path": "a/./b"}, "artifacts[0].path is not a path inside the directory"),
        ({"size": True}, "artifacts[0].size is not a number of bytes"),
        ({"sha256": "0"}, "artifacts[0].sha256 is not a SHA-256"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    artifacts: Path, there: Path, entry: dict[str, Any], expected: str
) -> None:
    path = artifacts / "manifest.json"
    data = json.loads(path.read_text())
    data["artifacts"][0] |= entry
    path.write_text(json.dumps(data))

    assert expected in str(failed(artifacts, there))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "stepkit.manifest/1"}', '{"schema": 2}'])
def test_a_file_that_is_not_a_manifest_is_refused(artifacts: Path, there: Path, text: str) -> None:
    (artifacts / "manifest.json").write_text(text)

    error = failed(artifacts, there)

    assert isinstance(error, ConfigurationError)
    assert "is not a manifest of collect-artifacts" in str(error)


@pytest.mark.usefixtures("no_waiting")
def test_a_full_disk_leaves_no_manifest_behind(artifacts: Path, small_disk: Path) -> None:
    (artifacts / "data.bin").write_bytes(os.urandom(2 * 2**20))
    collect(artifacts)

    error = failed(artifacts, small_disk, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.DISK_FULL
    assert "files sent, the manifest not: " in str(error)
    assert not (small_disk / "run-7/manifest.json").exists()
    assert isinstance(error.outputs, Outputs)


def test_the_manifest_is_read_as_collect_artifacts_writes_it(artifacts: Path) -> None:
    read = {artifact.path: artifact for artifact in artifact_manifest.read(artifacts)}
    assert read["output_analysis.html"].sha256 == hashlib.sha256(PAGE).hexdigest()
    for path, artifact in read.items():
        assert artifact_manifest.describe(artifacts / path, artifacts) == artifact
