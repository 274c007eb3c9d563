import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.steps import collect_artifacts
from stepkit.steps.collect_artifacts import Options, Outputs
from stepkit.system import locks


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    directory = tmp_path / "artifacts"
    (directory / "plots").mkdir(parents=True)
    (directory / "output_analysis.ipynb").write_text("{}")
    (directory / "plots/umap.png").write_bytes(b"png")
    (directory / "a\nb \\c.txt").write_text("odd name")
    return directory


def listed(directory: Path) -> dict[str, dict[str, object]]:
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["schema"] == "stepkit.manifest/1"
    return {artifact["path"]: artifact for artifact in manifest["artifacts"]}


def test_lists_every_file_with_size_hash_and_media_type(artifacts: Path) -> None:
    outputs = collect_artifacts.run(Options(artifacts=artifacts))

    assert outputs.count == 3
    assert outputs.size == 2 + 3 + 8
    assert outputs.message == "3 artifacts, 0.0 MB"
    umap = listed(artifacts)["plots/umap.png"]
    assert umap.pop("sha256") == hashlib.sha256(b"png").hexdigest()
    assert umap == {
        "path": "plots/umap.png",
        "size": 3,
        "media_type": "image/png",
    }
    assert listed(artifacts)["output_analysis.ipynb"]["media_type"] == "application/x-ipynb+json"


def test_sha256sum_itself_confirms_the_list(artifacts: Path) -> None:
    collect_artifacts.run(Options(artifacts=artifacts))

    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=artifacts, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == 3


def test_running_twice_lists_the_same(artifacts: Path) -> None:
    collect_artifacts.run(Options(artifacts=artifacts))
    first = (artifacts / "manifest.json").read_bytes()

    collect_artifacts.run(Options(artifacts=artifacts))

    assert (artifacts / "manifest.json").read_bytes() == first


def test_copies_files_in_first(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "extra.csv").write_text("a,b")

    collect_artifacts.run(Options(artifacts=artifacts, files=(tmp_path / "extra.csv",)))

    assert (artifacts / "extra.csv").read_text() == "a,b"
    assert listed(artifacts)["extra.csv"]["media_type"] == "text/csv"


def test_a_missing_or_empty_expected_artifact_fails_after_all_are_listed(artifacts: Path) -> None:
    (artifacts / "coverage.xml").touch()
    expect = ("output_analysis.ipynb", "coverage.xml", "page.html")

    with pytest.raises(UserCodeError, match=r"2 of 3 .*: coverage\.xml, page\.html") as caught:
        collect_artifacts.run(Options(artifacts=artifacts, expect=expect))

    assert caught.value.reason == Reason.ARTIFACT_MISSING
    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.count == 4
    assert "coverage.xml" in listed(artifacts)


def test_what_was_not_asked_for_may_be_missing(artifacts: Path) -> None:
    expect = ("output_analysis.ipynb", "coverage.xml", "page.html", "results.xml")
    tests = "https://example.com/tests?a=b"
    asked_for = (
        *("coverage.xml=" + tests, "coverage.xml=false"),
        *("results.xml=", f"page.html={tests}", "page.html=true"),
    )

    with pytest.raises(UserCodeError, match=r"1 of 2 .*: page\.html"):
        collect_artifacts.run(Options(artifacts=artifacts, expect=expect, asked_for=asked_for))
    with pytest.raises(ConfigurationError, match="--asked-for 'page' is not NAME=VALUE"):
        collect_artifacts.run(Options(artifacts=artifacts, asked_for=("page",)))


def test_excluded_names_are_not_listed(artifacts: Path) -> None:
    (artifacts / "STEP_SUMMARY_lite.md").write_text("of an earlier run")

    outputs = collect_artifacts.run(Options(artifacts=artifacts, exclude=("STEP_SUMMARY*.md",)))

    assert outputs.count == 3
    assert "STEP_SUMMARY_lite.md" not in listed(artifacts)


def test_how_far_a_notebook_was_is_not_listed(artifacts: Path) -> None:
    (artifacts / "output_analysis.progress.json").write_text('{"schema": "stepkit.progress/1"}')
    (artifacts / "mine.progress.json").write_text('{"epoch": 3}')

    collect_artifacts.run(Options(artifacts=artifacts))

    assert "output_analysis.progress.json" not in listed(artifacts)
    assert "mine.progress.json" in listed(artifacts)


def test_links_and_pipes_are_not_listed(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (artifacts / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(artifacts / "pipe")

    outputs = collect_artifacts.run(Options(artifacts=artifacts))

    assert outputs.count == 3
    assert {"link", "pipe"}.isdisjoint(listed(artifacts))


def test_a_file_that_cannot_be_collected_is_named(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "umap.png").touch()
    twice = (tmp_path / "umap.png", artifacts / "plots/umap.png")

    with pytest.raises(ConfigurationError, match=r"no file .*umpa\.png.*did you mean umap\.png"):
        collect_artifacts.run(Options(artifacts=artifacts, files=(tmp_path / "umpa.png",)))
    with pytest.raises(ConfigurationError, match="have the same name: rename one"):
        collect_artifacts.run(Options(artifacts=artifacts, files=twice))
    with pytest.raises(ConfigurationError, match="no directory of artifacts"):
        collect_artifacts.run(Options(artifacts=tmp_path / "gone"))
    assert not (artifacts / "manifest.json").exists()


def check_sums(directory: Path) -> bytes:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_own_unfinished_report_is_not_listed(artifacts: Path) -> None:
    (artifacts / "other.json").write_text('{"schema": "stepkit.report/1", "step": "run-tests"}')
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-P", "-m", "stepkit", "collect-artifacts", "--artifacts", artifacts,
             "--report", artifacts / "collect.json"],
            check=True, capture_output=True,
        )  # fmt: skip
        assert (artifacts / "collect.json").exists()
        assert check_sums(artifacts).count(b": OK") == 4


def test_a_name_that_is_not_utf_8_is_listed_byte_by_byte(artifacts: Path) -> None:
    Path(os.fsdecode(os.fsencode(artifacts) + b"/\xff.txt")).write_text("x")

    assert collect_artifacts.run(Options(artifacts=artifacts)).count == 4
    assert b"  \xff.txt\n" in (artifacts / "SHA256SUMS").read_bytes()
    assert check_sums(artifacts).count(b": OK") == 4


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS"])
def test_a_file_with_the_name_of_a_list_is_refused(
    artifacts: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")

    with pytest.raises(ConfigurationError, match=f"this step writes its own {name}; rename it"):
        collect_artifacts.run(Options(artifacts=artifacts, files=(tmp_path / name,)))
    assert not (artifacts / name).exists()


def test_a_copy_does_not_replace_another_file(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("new")
    (tmp_path / "b.txt").write_text("b")
    (artifacts / "a.txt").write_text("old")
    both = Options(artifacts=artifacts, files=(tmp_path / "b.txt", tmp_path / "a.txt"))

    with pytest.raises(ConfigurationError, match=r"a\.txt is there already and differs from"):
        collect_artifacts.run(both)
    assert (artifacts / "a.txt").read_text() == "old"
    assert not (artifacts / "b.txt").exists()

    (artifacts / "a.txt").write_text("new")
    assert collect_artifacts.run(both).count == 5  # the same content is not a conflict


def test_a_link_in_the_directory_is_not_taken_for_a_copy(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (artifacts / "a.txt").symlink_to(tmp_path / "a.txt")

    with pytest.raises(ConfigurationError, match="is there already"):
        collect_artifacts.run(Options(artifacts=artifacts, files=(tmp_path / "a.txt",)))


def test_expected_paths_may_be_spelled_otherwise(artifacts: Path) -> None:
    expect = ("./output_analysis.ipynb", "plots//umap.png", str(artifacts / "plots/umap.png"))

    assert collect_artifacts.run(Options(artifacts=artifacts, expect=expect)).count == 3


def test_what_another_step_is_writing_or_left_is_not_listed(artifacts: Path) -> None:
    (artifacts / ".report.json.stepkit-a1b2c3d4").write_text("{")
    (artifacts / "plots/.umap.png.stepkit-a1b2c3d4").write_text("half")
    (artifacts / ".source.stepkit-a1b2c3_4/new").mkdir(parents=True)
    (artifacts / ".source.stepkit-a1b2c3_4/new/half.bin").write_text("half")
    (artifacts / f".stepkit-trash-{'0' * 16}").mkdir()
    (artifacts / f".stepkit-trash-{'0' * 16}/old").write_text("old")
    (artifacts / ".config-abcdefgh").write_text("a user's")

    outputs = collect_artifacts.run(Options(artifacts=artifacts))

    assert outputs.count == 4
    assert ".config-abcdefgh" in listed(artifacts)


def test_a_step_waits_until_another_one_has_listed_the_same_directory(artifacts: Path) -> None:
    command = [sys.executable, "-P", "-m", "stepkit", "collect-artifacts"]
    command += ["--artifacts", str(artifacts)]
    with locks.locked_directory(artifacts):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(lambda: process.poll() is not None or is_waiting(process.pid))
        assert process.poll() is None
        (artifacts / "late.txt").write_text("x")

    assert process.wait() == 0
    assert "late.txt" in listed(artifacts)


def is_waiting(pid: int) -> bool:
    """Return whether a process waits for a lock."""
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(f" {pid} " in line for line in waiting)
