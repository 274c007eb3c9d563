import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts.manifest import MANIFEST
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.steps import collect_artifacts, publish_artifacts
from stepkit.steps.publish_artifacts import Options, Outputs
from stepkit.system import atomic_files

PAGE = b"<!doctype html><p>n\xc3\xa4chste</p>"


@dataclass(frozen=True)
class Site:
    """Three collected artifacts with a later summary, and the directory they are published to."""

    artifacts: Path
    there: Path

    @property
    def run(self) -> Path:
        return self.there / "run-7"

    @property
    def summary(self) -> Path:
        return self.artifacts / "STEP_SUMMARY.md"

    def publish(self, **more: Any) -> Outputs:
        usual = {"artifacts": self.artifacts, "destination": str(self.there), "prefix": "run-7"}
        return publish_artifacts.run(Options(**{**usual, **more}))

    def publish_while(self, write_summary: Callable[[], object]) -> Outputs:
        """Publish while another thread writes the summary, which is not there at first."""
        self.summary.unlink()
        writer = threading.Timer(0.3, write_summary)
        writer.start()
        outputs = self.publish(wait_for=(self.summary,))
        writer.join()
        return outputs

    def failed(self, **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.publish(**more)
        return caught.value

    def refused(self, **more: Any) -> str:
        """Return the message of a publication that is refused with a ConfigurationError."""
        error = self.failed(**more)
        assert isinstance(error, ConfigurationError)
        return str(error)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "out", tmp_path / "mount")
    (site.artifacts / "figures").mkdir(parents=True)
    (site.artifacts / "output_analysis.html").write_bytes(PAGE)
    (site.artifacts / "papermill.log").write_text("done\n")
    (site.artifacts / "figures/umap 1.png").write_bytes(b"\x89PNG")
    collect(site.artifacts)
    site.summary.write_text("# passed\n")
    site.there.mkdir()
    return site


def collect(directory: Path) -> None:
    collect_artifacts.run(collect_artifacts.Options(artifacts=directory))


def names(directory: Path) -> set[str]:
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


ALL = {"output_analysis.html", "papermill.log", "figures/umap 1.png", "STEP_SUMMARY.md",
       "SHA256SUMS", "manifest.json"}  # fmt: skip


def test_everything_listed_and_what_came_after_it_is_published(site: Site) -> None:
    outputs = site.publish()

    assert names(site.run) == ALL
    assert (site.run / "output_analysis.html").read_bytes() == PAGE
    assert (outputs.count, outputs.sent, outputs.unchanged) == (6, 6, 0)
    assert outputs.size == sum(p.stat().st_size for p in site.artifacts.rglob("*") if p.is_file())
    assert outputs.location == str(site.run)
    assert outputs.url == ""
    assert outputs.status == "succeeded"
    assert outputs.message.endswith("6 sent, 0 unchanged")


def test_the_manifest_is_published_last(site: Site) -> None:
    assert site.publish().published[-2:] == ("SHA256SUMS", "manifest.json")

    (site.artifacts / "papermill.log").unlink()
    with pytest.raises(UserCodeError):
        site.publish(prefix="run-8")
    assert not (site.there / "run-8").exists()


def test_what_is_there_already_is_not_sent_again(site: Site) -> None:
    site.publish()
    before = {p: p.stat().st_ino for p in site.there.rglob("*")}

    outputs = site.publish()

    assert (outputs.count, outputs.sent, outputs.unchanged) == (6, 0, 6)
    assert {p: p.stat().st_ino for p in site.there.rglob("*")} == before


@pytest.mark.parametrize(("verify", "reads"), [("content", 1), ("size", 0)])
def test_a_copy_is_read_back_at_most_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, verify: str, reads: int
) -> None:
    read: list[Path] = []

    def sha256(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(atomic_files, "sha256", sha256)

    site.publish(verify=verify)

    assert {read.count(site.run / name) for name in ALL} == {reads}


def test_an_interrupted_publication_is_completed(site: Site) -> None:
    site.publish()
    (site.run / "manifest.json").unlink()
    (site.run / "papermill.log").unlink()

    assert site.publish().sent == 2
    assert names(site.run) == ALL


def test_files_that_are_not_listed_are_not_published(site: Site) -> None:
    (site.artifacts / "later.txt").write_text("came later")

    site.publish()

    assert names(site.run) == ALL
    site.publish(also=("later*", "STEP_SUMMARY*.md"))
    assert (site.run / "later.txt").read_text() == "came later"


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
    site: Site, change: Callable[[Path], object], expected: str
) -> None:
    change(site.artifacts / "papermill.log")

    error = site.failed()

    assert isinstance(error, UserCodeError)
    assert error.reason == Reason.CHECKSUM
    assert "1 of 3 artifacts changed since collect-artifacts listed them: " + expected in str(error)
    assert names(site.there) == set()


def test_a_directory_of_artifacts_that_became_a_link_is_not_followed(
    site: Site, tmp_path: Path
) -> None:
    (site.artifacts / "figures").rename(tmp_path / "elsewhere")
    (site.artifacts / "figures").symlink_to(tmp_path / "elsewhere")

    assert "figures/umap 1.png lies outside of" in str(site.failed())


def test_another_file_of_the_same_name_is_replaced_only_with_overwrite(site: Site) -> None:
    site.run.mkdir()
    other = site.run / "papermill.log"
    other.write_text("of another run\n")

    message = site.refused()

    assert "1 of 6 files are in" in message
    assert "papermill.log; nothing was sent" in message
    assert names(site.run) == {"papermill.log"}
    assert other.read_text() == "of another run\n"
    site.publish(overwrite=True)
    assert other.read_text() == "done\n"


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_only_a_regular_file_is_overwritten(site: Site, kind: str) -> None:
    site.run.mkdir()
    place = site.run / "papermill.log"
    if kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(site.artifacts / "papermill.log")

    assert "it is not a regular file" in str(site.failed(overwrite=True))


def test_links_are_logged_below_the_web_address(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    outputs = site.publish(url_base="https://pages.example.com/runs/")

    assert outputs.url == "https://pages.example.com/runs/run-7/STEP_SUMMARY.md"
    assert "https://pages.example.com/runs/run-7/figures/umap%201.png" in caplog.messages


def test_the_link_leads_to_the_named_page_or_to_the_best_one(site: Site) -> None:
    base = {"url_base": "https://x.example", "overwrite": True}

    assert site.publish(page="papermill.log", **base).url.endswith("/papermill.log")
    site.summary.unlink()
    assert site.publish(**base).url.endswith("/output_analysis.html")
    (site.artifacts / "STEP_SUMMARY.html").write_text("<p>")
    also = ("STEP_SUMMARY*",)
    assert site.publish(also=also, **base).url.endswith("/STEP_SUMMARY.html")


def test_a_summary_that_another_task_writes_is_waited_for(site: Site) -> None:
    def write() -> None:
        (site.artifacts / "scratch").write_text("# failed\n")
        (site.artifacts / "scratch").rename(site.summary)

    outputs = site.publish_while(write)

    assert (site.run / "STEP_SUMMARY.md").read_text() == "# failed\n"
    assert (outputs.status, outputs.missing) == ("succeeded", ())


@pytest.mark.parametrize("name", ["report.html", "pages/report.html"])
def test_a_file_that_is_waited_for_is_published_wherever_it_lies(site: Site, name: str) -> None:
    (site.artifacts / "pages").mkdir()
    (site.artifacts / name).write_text("<p>")

    site.publish(wait_for=(site.artifacts / name,))

    assert (site.run / name).read_text() == "<p>"


def test_a_file_elsewhere_that_is_waited_for_stays_there(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "done").touch()

    outputs = site.publish(wait_for=(tmp_path / "done",))

    assert (names(site.run), outputs.missing) == (ALL, ())
    assert f"{tmp_path}/done lies outside of {site.artifacts}: it is left there" in caplog.messages


def test_a_directory_is_not_the_file_that_is_waited_for(site: Site) -> None:
    site.summary.unlink()
    site.summary.mkdir()

    outputs = site.publish(wait_for=(site.summary,), wait_timeout=0)

    assert (outputs.status, outputs.missing) == ("tolerated", (str(site.summary),))


def test_a_manifest_that_is_rewritten_while_waiting_is_used(site: Site) -> None:
    def write() -> None:
        (site.artifacts / "late.csv").write_text("1,2\n")
        collect(site.artifacts)
        site.summary.write_text("# passed\n")

    site.publish_while(write)

    assert names(site.run) == ALL | {"late.csv"}


def test_a_file_that_did_not_come_is_reported_and_the_rest_is_published(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.summary.unlink()

    outputs = site.publish(wait_for=(site.summary,), wait_timeout=0)

    assert names(site.run) == ALL - {"STEP_SUMMARY.md"}
    assert (outputs.status, outputs.missing) == ("tolerated", (str(site.summary),))
    assert f"missing: {site.summary}" in outputs.message
    assert f"waited 0 s: {site.summary} did not come" in caplog.messages


def test_a_run_without_a_manifest_is_published_with_unlisted(site: Site) -> None:
    (site.artifacts / "manifest.json").unlink()
    (site.artifacts / "SHA256SUMS").unlink()
    assert "there is no manifest.json" in str(site.failed())

    outputs = site.publish(unlisted=True, wait_for=(site.summary,))

    assert names(site.run) == ALL - {"manifest.json", "SHA256SUMS"}
    assert (outputs.status, outputs.missing) == ("tolerated", ("manifest.json",))
    assert outputs.message.endswith("; missing: manifest.json")


def test_a_run_without_a_manifest_is_refused_where_an_older_manifest_is(site: Site) -> None:
    site.publish()
    (site.artifacts / "manifest.json").unlink()
    (site.artifacts / "papermill.log").write_text("another run\n")

    message = site.refused(unlisted=True, overwrite=True)

    assert f"{site.run}/manifest.json lists what was published there before" in message
    assert (site.run / "papermill.log").read_text() == "done\n"


def test_the_link_leads_to_a_file_that_exists(site: Site) -> None:
    base = {"url_base": "https://x.example", "page": "missing.html"}

    assert site.publish(**base).url == "https://x.example/run-7/STEP_SUMMARY.md"
    for name in ("manifest.json", "STEP_SUMMARY.md", "output_analysis.html"):
        (site.artifacts / name).unlink()
    assert site.publish(unlisted=True, prefix="run-8", **base).url == "https://x.example/run-8"


@pytest.mark.parametrize("name", ["n" * 255, "\N{SNOWMAN}" * 85, "a\udcff.txt"])
def test_any_valid_file_name_is_published(site: Site, name: str) -> None:
    (site.artifacts / name).write_text("x")
    collect(site.artifacts)

    outputs = site.publish(url_base="https://x.example", page=name)

    assert (site.run / name).read_text() == "x"
    assert outputs.url == f"https://x.example/run-7/{quote(os.fsencode(name))}"


def test_artifacts_are_not_published_onto_themselves(site: Site) -> None:
    message = site.refused(destination=str(site.artifacts.parent), prefix=site.artifacts.name)

    assert message == f"{site.artifacts} lies in the artifacts: publish to another directory"


@pytest.mark.parametrize("target", ["../away", "run-7"])
def test_a_prefix_that_became_a_link_is_not_followed(
    site: Site, tmp_path: Path, target: str
) -> None:
    (tmp_path / "away").mkdir()
    site.run.symlink_to(target)

    message = site.refused(attempts=1)

    assert str(site.run) in message
    assert list((tmp_path / "away").iterdir()) == []


def test_a_file_behind_a_link_to_itself_is_reported_as_missing(site: Site) -> None:
    (site.artifacts / "loop").symlink_to("loop")

    outputs = site.publish(wait_for=(site.artifacts / "loop/x",), wait_timeout=0)

    assert outputs.missing == (f"{site.artifacts}/loop/x",)


def test_unlisted_changes_nothing_where_there_is_a_manifest(site: Site) -> None:
    (site.artifacts / "not-listed.txt").write_text("x")

    outputs = site.publish(unlisted=True)

    assert names(site.run) == ALL
    assert outputs.status == "succeeded"


def test_a_summary_older_than_the_manifest_is_not_published(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    os.utime(site.summary, (1, 1))

    assert site.publish(wait_for=(site.summary,), wait_timeout=0).status == "tolerated"
    assert "STEP_SUMMARY.md" not in names(site.run)
    assert f"waited 0 s: {site.summary} is still as old as an earlier attempt" in caplog.messages


def test_a_summary_that_was_rewritten_after_the_manifest_is_published(site: Site) -> None:
    collect(site.artifacts)
    site.summary.write_text("# written anew\n")

    site.publish()

    assert (site.run / "STEP_SUMMARY.md").read_text() == "# written anew\n"


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
    site: Site, monkeypatch: pytest.MonkeyPatch, destination: str, expected: str
) -> None:
    monkeypatch.chdir(site.artifacts.parent)
    (site.artifacts / "copy").mkdir()

    message = site.refused(destination=destination)

    assert expected in message
    assert "word" not in message


@pytest.mark.parametrize("prefix", ["../up", "a//b", "a/./b", "a\nb"])
def test_a_prefix_that_leads_elsewhere_is_refused(site: Site, prefix: str) -> None:
    assert "is not a path below the destination" in str(site.failed(prefix=prefix))


def test_without_artifacts_or_manifest_it_says_what_to_do(site: Site) -> None:
    missing = site.there / "none"
    error = site.failed(artifacts=missing)
    assert str(error) == f"there is no directory of artifacts {missing}"
    assert error.reason == Reason.NOT_FOUND

    missing.mkdir()
    assert site.refused(artifacts=missing).endswith("run collect-artifacts first")


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
    site: Site, entry: dict[str, Any], expected: str
) -> None:
    path = site.artifacts / "manifest.json"
    data = json.loads(path.read_text())
    data["artifacts"][0] |= entry
    path.write_text(json.dumps(data))

    assert expected in str(site.failed())


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "stepkit.manifest/1"}', '{"schema": 2}'])
def test_a_file_that_is_not_a_manifest_is_refused(site: Site, text: str) -> None:
    (site.artifacts / "manifest.json").write_text(text)

    assert "is not a manifest of collect-artifacts" in site.refused()


@pytest.mark.usefixtures("no_waiting")
def test_a_full_disk_leaves_no_manifest_behind(site: Site, small_disk: Path) -> None:
    (site.artifacts / "data.bin").write_bytes(os.urandom(2 * 2**20))
    collect(site.artifacts)

    error = site.failed(destination=str(small_disk), attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.DISK_FULL
    assert "files sent, the manifest not: " in str(error)
    assert not (small_disk / "run-7/manifest.json").exists()
    assert isinstance(error.outputs, Outputs)


def test_the_manifest_is_read_as_collect_artifacts_writes_it(site: Site) -> None:
    read = {artifact.path: artifact for artifact in artifact_manifest.read(site.artifacts)}
    assert read["output_analysis.html"].sha256 == hashlib.sha256(PAGE).hexdigest()
    for path, artifact in read.items():
        assert artifact_manifest.describe(site.artifacts / path, site.artifacts) == artifact


def test_scratch_is_neither_published_nor_left_at_the_destination(site: Site) -> None:
    (site.artifacts / ".STEP_SUMMARY.md.stepkit-a1b2c3d4").write_text("half")
    site.run.mkdir()
    (site.run / f".{MANIFEST}.stepkit-a1b2c3d4").write_text("half of a killed publication")

    site.publish(also=("*STEP_SUMMARY*",))

    assert [path.name for path in site.run.rglob(".*")] == []
    assert (site.run / MANIFEST).exists()
