"""--resume reuses what a step of an earlier run proved, and runs all else again."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

import stepkit
from stepkit import steps
from stepkit.cli import commands
from stepkit.cli import main as cli
from stepkit.cli.resume import proof
from stepkit.errors import UserCodeError
from stepkit.options import READS, WRITES, FromEnv
from stepkit.step import Resumable
from stepkit.system import atomic_files, scratch
from stepkit.workspace import run_marker


@dataclass(frozen=True, kw_only=True)
class Settings:
    file: Annotated[Path, "what to copy", READS]
    copy: Annotated[Path, "where to", WRITES]
    words: Annotated[tuple[str, ...], "what to add"] = ()
    always: Annotated[bool, "whether it always runs"] = False
    token: Annotated[str | None, "key to the house", FromEnv("COPY_TOKEN")] = None


@dataclass(frozen=True, kw_only=True)
class Result:
    resumable: ClassVar[Resumable] = Resumable(
        directories=lambda options: [options.file.parent],
        keeps_changes=True,
        except_with=("always",),
    )

    copy: Annotated[Path, "absolute path of the copy"]
    lines: Annotated[int, "its lines"] = 1
    status: Annotated[str, "succeeded or tolerated"] = "succeeded"
    message: Annotated[str, "what was copied"] = ""


class Copy:
    """A step that copies a file, and leaves a file beside the original."""

    """Copy a file."""

    Options = Settings
    Outputs = Result

    def __init__(self) -> None:
        self.runs = 0
        self.effect: Callable[[Settings], object] = lambda _: None
        self.status = "succeeded"

    def run(self, options: Settings) -> Result:
        self.runs += 1
        self.effect(options)
        options.copy.write_text(options.file.read_text() + " ".join(options.words))
        return Result(copy=options.copy.absolute(), status=self.status, message="one line")


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Copy:
    step = Copy()
    monkeypatch.setitem(sys.modules, "copying_step", step)
    every = steps.Registry({**steps.MODULES, **commands.MODULES, "copy": "copying_step"})
    monkeypatch.setattr(commands, "COMMANDS", every)
    return step


class Work:
    """A workspace with runs, in which the step runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def begin(self, run: str) -> Path:
        place = self.directory / run
        for name in ("source", "artifacts", "reports"):
            (place / name).mkdir(parents=True)
        (place / "source/a.txt").write_text("text\n")
        run_marker.write(place, run=run, directories=("artifacts", "reports"))
        return place

    def run(self, run: str, *flags: str) -> int:
        place = self.directory / run
        given = [f"--file={place}/source/a.txt", f"--copy={place}/artifacts/a.txt"]
        return cli.main(["copy", *given, f"--report={place}/reports/copy.json", *flags])

    def report(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / run / "reports/copy.json").read_text())
        return found


@pytest.fixture
def work(tmp_path: Path) -> Work:
    made = Work(tmp_path)
    made.begin("one")
    made.begin("two")
    return made


def test_a_step_with_the_same_inputs_is_reused_and_says_from_which_run(
    copy: Copy, work: Work, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert work.run("one", "--words", "and", "more") == 0
    capsys.readouterr()

    flags = ("--words", "and", "more", f"--result=copy={tmp_path}/r")
    assert work.run("two", "--resume=one", *flags) == 0

    assert copy.runs == 1
    assert (tmp_path / "two/artifacts/a.txt").read_text() == "text\nand more"
    assert (tmp_path / "r").read_text() == f"{tmp_path}/two/artifacts/a.txt"
    first, second = work.report("one"), work.report("two")
    assert (second["status"], second["reason"], second["exit_code"]) == ("reused", "ok", 0)
    assert second["message"] == "reused from one: one line"
    assert second["reused"] == {
        "run": "one", "status": "succeeded", "message": "one line",
        "started": first["started"], "seconds": first["seconds"],
    }  # fmt: skip
    assert second["outputs"] == {"copy": f"{tmp_path}/two/artifacts/a.txt", "lines": 1}
    assert [a["path"] for a in second["artifacts"]] == [f"{tmp_path}/two/artifacts/a.txt"]
    assert second["artifacts"][0]["sha256"] == first["artifacts"][0]["sha256"]
    said = capsys.readouterr()
    assert "is reused from one: the same inputs (" in said.err
    assert "stepkit copy: reused in" in said.err
    assert "status=reused" in said.out


def test_a_reused_step_is_reused_again_from_the_run_in_which_it_ran(copy: Copy, work: Work) -> None:
    work.begin("three")
    for run, resume in (("one", ""), ("two", "one"), ("three", "two")):
        assert work.run(run, f"--resume={resume}") == 0

    assert copy.runs == 1
    assert work.report("three")["reused"] == work.report("two")["reused"]


def test_a_path_names_a_run_in_another_workspace(copy: Copy, work: Work, tmp_path: Path) -> None:
    assert work.run("one") == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one").rename(tmp_path / "elsewhere/one")

    assert work.run("two", f"--resume={tmp_path}/elsewhere/one") == 0

    assert (copy.runs, work.report("two")["status"]) == (1, "reused")
    assert (tmp_path / "two/artifacts/a.txt").read_text() == "text\n"


def test_files_that_a_step_wrote_beside_its_input_come_along(
    copy: Copy, work: Work, tmp_path: Path
) -> None:
    copy.effect = lambda options: options.file.with_name("plot.png").write_bytes(b"png")
    assert work.run("one") == 0

    assert work.run("two", "--resume=one") == 0

    assert (copy.runs, (tmp_path / "two/source/plot.png").read_bytes()) == (1, b"png")


@pytest.mark.parametrize("status", ["tolerated", "flaky"])
def test_how_it_ended_there_is_not_forgotten(status: str, copy: Copy, work: Work) -> None:
    copy.status = status
    assert work.run("one") == 0
    assert work.run("two", "--resume=one") == 0

    assert copy.runs == 1
    assert work.report("two")["reused"]["status"] == status


Change = Callable[[Path], object]


def replace_report(place: Path, **values: Any) -> None:
    path = place / "one/reports/copy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_proof(place: Path, **values: Any) -> None:
    known = json.loads((place / "one/reports/copy.json").read_text())["proof"]
    replace_report(place, proof={**known, **values})


def steal(place: Path) -> None:
    (place / "secret").write_text("text\n")
    output = {"path": "../secret", "size": 5, "sha256": atomic_files.sha256(place / "secret")}
    change_proof(place, outputs=[output])


def link_out(place: Path) -> None:
    (place / "one/artifacts/a.txt").rename(place / "moved")
    (place / "one/artifacts/a.txt").symlink_to(place / "moved")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            lambda at: (at / "two/source/a.txt").write_text("other\n"),
            "the files in source changed",
            id="another input",
        ),
        pytest.param(
            lambda at: (at / "two/source/b.txt").write_text("new\n"),
            "the files in source changed",
            id="another file beside the input",
        ),
        pytest.param(
            lambda at: (at / "one/artifacts/a.txt").unlink(),
            "its output {at}/one/artifacts/a.txt is gone",
            id="the claim lost a file",
        ),
        pytest.param(
            lambda at: (at / "one/artifacts/a.txt").write_text("TEXT\n"),
            "its output {at}/one/artifacts/a.txt is not as it was",
            id="an output was changed",
        ),
        pytest.param(
            lambda at: shutil.rmtree(at / "one"), "there is no directory {at}/one", id="no run"
        ),
        pytest.param(
            lambda at: (at / "one/reports/copy.json").unlink(),
            "there is no report {at}/one/reports/copy.json",
            id="no report",
        ),
        pytest.param(
            lambda at: (at / "one/reports/copy.json").write_text('{"schema": '),
            "its report {at}/one/reports/copy.json cannot be read: Expecting value",
            id="a torn report",
        ),
        pytest.param(
            lambda at: (at / "one/reports/copy.json").write_text("[1]"),
            "{at}/one/reports/copy.json is not a report of copy",
            id="no report at all",
        ),
        pytest.param(
            lambda at: replace_report(at, schema="stepkit.report/1", proof=None),
            "its report has no proof of its inputs (stepkit.report/1)",
            id="an older report",
        ),
        pytest.param(
            lambda at: replace_report(at, status="failed", exit_code=None),
            "it never ended there",
            id="a half-written run",
        ),
        pytest.param(
            lambda at: replace_report(at, status="failed", exit_code=3),
            "it failed there",
            id="a failure",
        ),
        pytest.param(
            lambda at: change_proof(at, outputs="all"),
            "its report {at}/one/reports/copy.json is not whole: proof.outputs",
            id="a proof of another shape",
        ),
        pytest.param(
            lambda at: change_proof(at, sha256="0" * 64),
            "the digest in its earlier report does not fit its inputs",
            id="a wrong digest",
        ),
        pytest.param(steal, "its output ../secret is not in the directory of that run", id="theft"),
        pytest.param(link_out, "is not in the directory of that run", id="a link out of the run"),
    ],
)
def test_what_is_not_proven_runs_again_and_says_why(
    copy: Copy,
    work: Work,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Change,
    why: str,
) -> None:
    assert work.run("one") == 0
    change(tmp_path)

    assert work.run("two", "--resume=one") == 0

    assert copy.runs == 2
    assert work.report("two")["status"] == "succeeded"
    said = capsys.readouterr().err
    assert f"runs again, nothing of one is reused: {why.format(at=tmp_path)}" in said or (
        why in said and "runs again, nothing of one is reused: its output" in said
    )
    assert (tmp_path / "two/artifacts/a.txt").is_file()


def test_another_option_another_version_or_other_packages_run_again(
    copy: Copy,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert work.run("one", "--words=a") == 0
    assert work.run("two", "--words=b", "--resume=one") == 0
    assert '--words was ["a"], and is ["b"]' in capsys.readouterr().err

    monkeypatch.setenv("STEPKIT_IMAGE", "another")
    assert work.run("two", "--words=a", "--resume=one") == 0
    assert "the image, its Python, its packages or its kernels changed" in capsys.readouterr().err

    version = stepkit.__version__
    monkeypatch.setattr(stepkit, "__version__", "9.9")
    assert work.run("two", "--words=a", "--resume=one") == 0
    assert f'stepkit was "{version}", and is 9.9' in capsys.readouterr().err
    assert copy.runs == 4


def test_a_commit_that_changed_is_named(
    copy: Copy, work: Work, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, commit in (("one", "a" * 40), ("two", "b" * 40)):
        (tmp_path / run / "source/.git").mkdir()
        (tmp_path / run / "source/.git/HEAD").write_text(commit + "\n")
    assert work.run("one") == 0

    assert work.run("two", "--resume=one") == 0

    assert "source is at commit bbbbbbbbbbbb, and was at aaaaaaaaaaaa" in capsys.readouterr().err
    assert copy.runs == 2


def test_a_step_that_removed_a_file_or_reads_outside_of_its_run_is_never_reused(
    copy: Copy, work: Work, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in ("one", "two"):
        (tmp_path / run / "source/gone.txt").write_text("")
    copy.effect = lambda options: (options.file.parent / "gone.txt").unlink(missing_ok=True)
    assert work.run("one") == 0
    assert "it removed" in work.report("one")["proof"]["unproven"]
    assert work.run("two", "--resume=one") == 0
    assert "nothing is proven of it there: it removed" in capsys.readouterr().err

    (tmp_path / "data").mkdir()
    (tmp_path / "two/source/data").symlink_to(tmp_path / "data")
    assert work.run("two", "--resume=one") == 0
    assert "is a link to a directory outside of" in capsys.readouterr().err
    assert copy.runs == 3


def test_a_step_that_wrote_too_much_where_it_reads_is_not_reused(
    copy: Copy, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "MOST_WRITTEN", 3)
    copy.effect = lambda options: options.file.with_name("plot.png").write_bytes(b"plot")

    assert work.run("one") == 0

    assert "has more than 3 bytes of files to read" in work.report("one")["proof"]["unproven"]
    assert work.report("one")["status"] == "succeeded"


def test_an_option_may_say_that_a_step_always_runs(
    copy: Copy, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work.run("one", "--always") == 0
    assert work.run("two", "--always", "--resume=one") == 0

    assert copy.runs == 2
    assert "with --always it always runs" in capsys.readouterr().err


def test_a_failure_has_no_proof_and_a_run_without_a_marked_directory_has_none(
    copy: Copy, work: Work, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Settings) -> None:
        raise UserCodeError("no")

    copy.effect = fail
    assert work.run("one") == 3
    assert work.report("one")["proof"] is None

    copy.effect = lambda _: None
    (tmp_path / "two" / run_marker.NAME).unlink()
    assert work.run("two", "--resume=one") == 0
    assert (
        "it has no --report in a directory that prepare-workspace made" in capsys.readouterr().err
    )


def test_no_secret_is_in_a_proof(
    copy: Copy, work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for run in ("one", "two"):
        monkeypatch.setenv("COPY_TOKEN", "opensesame")
        assert work.run(run, "--words=opensesame", "--resume=one") == 0
        assert "opensesame" not in (tmp_path / run / "reports/copy.json").read_text()
    assert copy.runs == 1


@pytest.mark.usefixtures("copy")
def test_a_place_that_cannot_be_written_ends_the_step(
    work: Work, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert work.run("one") == 0
    (tmp_path / "two/artifacts").rmdir()
    (tmp_path / "two/artifacts").write_text("a file")

    assert work.run("two", "--resume=one") == 2

    assert f"cannot write {tmp_path}/two/artifacts/a.txt" in capsys.readouterr().err
    assert work.report("two")["status"] == "failed"
    assert not [path for path in (tmp_path / "two").iterdir() if scratch.is_scratch(path.name)]
