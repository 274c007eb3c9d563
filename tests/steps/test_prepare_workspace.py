import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import pytest
from refusals import refusal
from samples import fill_disk
from users import RANDOM, stepkit_as

import stepkit
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.steps import prepare_workspace
from stepkit.steps.prepare_workspace import Options, Outputs
from stepkit.workspace import run_marker


def prepare(directory: Path, **more: Any) -> Outputs:
    return prepare_workspace.run(Options(directory=directory, **more))


def without_room(directory: Path, **more: Any) -> ToolError:
    """Return the error of a volume that is too full."""
    with pytest.raises(ToolError) as caught:
        prepare(directory, **more)
    assert caught.value.reason == Reason.DISK_FULL
    return caught.value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("narrow_umask")
def test_directories_that_it_makes_on_the_way_are_open_too(tmp_path: Path) -> None:
    before = mode(tmp_path)

    prepare(tmp_path / "work/runs/run-1")

    assert [mode(tmp_path / name) for name in ("work", "work/runs")] == [0o2770, 0o2770]
    assert mode(tmp_path) == before


@pytest.mark.usefixtures("narrow_umask")
def test_directories_are_open_to_their_group_alone(tmp_path: Path) -> None:
    run = tmp_path / "run-1"

    prepare(run, directories=("artifacts", "reports/deep"))

    for name in (".", "artifacts", "reports", "reports/deep"):
        assert mode(run / name) & 0o2070 == 0o2070, name
        assert not mode(run / name) & stat.S_IWOTH, name
    assert tree(run) == [".stepkit-run.json", "artifacts", "reports", "reports/deep"]


def test_the_outputs_are_what_was_measured(tmp_path: Path) -> None:
    outputs = prepare(tmp_path / "run-1")

    disk = os.statvfs(tmp_path)
    assert outputs.directory == tmp_path / "run-1"
    assert outputs.free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert outputs.shm is None or outputs.shm > 0
    assert outputs.uid == os.geteuid()
    assert outputs.gid == (tmp_path / "run-1").stat().st_gid
    named = commands.run("stat", "--file-system", "--format=%T", tmp_path)
    assert outputs.file_system[:3] == named.stdout[:3]  # stat calls ext4 ext2/ext3
    assert outputs.message.startswith(f"run-1 is ready for uid {os.geteuid()}")


def test_what_is_world_writable_is_closed(tmp_path: Path) -> None:
    artifacts = tmp_path / "run-1/artifacts"
    artifacts.mkdir(parents=True)
    artifacts.chmod(0o777)

    prepare(tmp_path / "run-1", directories=("artifacts",))

    assert mode(artifacts) == 0o2775


def test_the_marker_names_run_directory_time_and_user(tmp_path: Path) -> None:
    prepare(tmp_path / "run-1", run="nightly", directories=("artifacts",))

    marker = json.loads((tmp_path / "run-1" / run_marker.NAME).read_text())
    assert marker.pop("created").endswith("+00:00")
    assert marker == {
        "schema": "stepkit.run-directory/1",
        "run": "nightly",
        "directory": "run-1",
        "inode": (tmp_path / "run-1").stat().st_ino,
        "uid": os.geteuid(),
        "directories": ["artifacts"],
    }


def test_the_marker_of_an_older_version_is_read(tmp_path: Path) -> None:
    prepare(tmp_path / "run-1", run="nightly")
    path = tmp_path / "run-1" / run_marker.NAME
    path.write_text(path.read_text().replace("stepkit.run-directory/1", "stepkit.run/1"))

    marker = run_marker.read(tmp_path / "run-1")

    assert marker
    assert (marker.run, marker.doubt) == ("nightly", "")


def test_a_repeated_step_keeps_the_marker_and_what_the_run_made(tmp_path: Path) -> None:
    run = tmp_path / "run-1"
    prepare(run, directories=("artifacts",))
    before = (run / run_marker.NAME).read_bytes()
    (run / "artifacts/a.ipynb").write_text("{}")
    (run / "source").mkdir()

    prepare(run, run="other", directories=("artifacts", "reports"))

    assert (run / run_marker.NAME).read_bytes() == before
    assert (run / "artifacts/a.ipynb").read_text() == "{}"
    assert (run / "reports").is_dir()


@pytest.mark.parametrize("file", ["notes.txt", "deep/down/code.py", ".hidden", "data.json"])
def test_a_directory_with_other_files_is_refused(tmp_path: Path, file: str) -> None:
    path = tmp_path / "mine" / file
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    (tmp_path / "mine").chmod(0o755)

    message = refusal(prepare, tmp_path / "mine", directories=("artifacts",))

    assert f"{tmp_path}/mine holds files that no step made, such as {file}: give the run" in message
    assert not (tmp_path / "mine" / run_marker.NAME).exists()
    assert not (tmp_path / "mine/artifacts").exists()
    assert mode(tmp_path / "mine") == 0o755


def test_a_link_in_an_unmarked_directory_counts_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/data").symlink_to(tmp_path)

    assert "such as data" in refusal(prepare, tmp_path / "mine")


def test_half_written_files_of_a_killed_attempt_are_ignored(tmp_path: Path) -> None:
    reports = tmp_path / "run-1/reports"
    reports.mkdir(parents=True)
    report = {"schema": "stepkit.report/1", "step": "prepare-workspace"}
    (reports / "prepare-workspace.json").write_text(json.dumps(report))
    (reports / ".prepare-workspace.json.stepkit-a1b2c3d4").write_text("{")
    (tmp_path / "run-1/.stepkit-run.json.stepkit-a1b2c3d4").touch()
    (tmp_path / "run-1/.probe.stepkit-a1b2c3d4").touch()

    prepare(tmp_path / "run-1", directories=("reports",))

    assert run_marker.read(tmp_path / "run-1")


def test_clean_empties_just_the_directories_that_were_made_for_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run-1"
    prepare(run, directories=("artifacts", "reports"))
    for name in ("artifacts/old.html", "reports/old.json", "mine.txt"):
        (run / name).write_text("x")
    (run / "later").mkdir()
    (run / "later/kept.txt").touch()
    (run / "artifacts/link").symlink_to(tmp_path)

    prepare(run, directories=("artifacts", "reports", "later"), clean=True)

    assert tree(run) == [
        ".stepkit-run.json", "artifacts", "later", "later/kept.txt", "mine.txt", "reports",
    ]  # fmt: skip
    assert tmp_path.is_dir()


def test_clean_takes_a_new_directory_too(tmp_path: Path) -> None:
    prepare(tmp_path / "run-1", directories=("artifacts",), clean=True)

    assert (tmp_path / "run-1/artifacts").is_dir()


def test_clean_refuses_a_copy_of_a_run(tmp_path: Path) -> None:
    prepare(tmp_path / "run-1", directories=("artifacts",))
    (tmp_path / "run-1/artifacts/a.html").touch()
    subprocess.run(["cp", "-a", tmp_path / "run-1", tmp_path / "kept"], check=True)

    message = refusal(prepare, tmp_path / "kept", clean=True)

    assert "but it is a copy of the directory of run run-1: give the run a new" in message
    assert (tmp_path / "kept/artifacts/a.html").exists()


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", ".", "a\0b"])
def test_directories_outside_the_run_are_refused(tmp_path: Path, name: str) -> None:
    message = refusal(prepare, tmp_path / "run-1", directories=(name,))

    assert message.endswith("is not a directory inside --directory: write one like artifacts")
    assert tree(tmp_path) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    prepare(tmp_path / "run-1")
    (tmp_path / "outside").mkdir()
    (tmp_path / "run-1/artifacts").symlink_to(tmp_path / "outside")
    (tmp_path / "run-2").symlink_to(tmp_path / "outside")

    for directory, names in (("run-1", ("artifacts/plots",)), ("run-2", ())):
        message = refusal(prepare, tmp_path / directory, directories=names)
        assert "is a symbolic link: name the directory itself" in message
    assert tree(tmp_path / "outside") == []


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run-1").touch()

    assert refusal(prepare, tmp_path / "run-1") == (
        f"cannot make {tmp_path}/run-1: File exists: "
        "a file is in the way: move it, or choose another path"
    )


def test_too_little_space_is_worth_another_try(tmp_path: Path) -> None:
    error = without_room(tmp_path / "run-1", free="1000TiB")

    assert "1024000.0 GiB are asked for: run clean-workspace, or use a larger volume" in str(error)
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.free > 0


def test_too_few_inodes_are_worth_another_try(tmp_path: Path) -> None:
    if not os.statvfs(tmp_path).f_files:
        pytest.skip("this file system counts no inodes")

    error = without_room(tmp_path / "run-1", free_inodes=10**12)

    assert "more files (inodes), 1000000000000 are asked for" in str(error)


def test_a_full_disk_is_noticed_by_writing(small_disk: Path) -> None:
    prepare(small_disk / "run-1", free_inodes=0)
    fill_disk(small_disk / "fill")

    error = without_room(small_disk / "run-1", free_inodes=0)

    assert str(error).startswith(f"cannot write in {small_disk}/run-1: No space left on device")
    assert tree(small_disk / "run-1") == [".stepkit-run.json"]


def test_too_little_shared_memory_is_a_configuration_error(tmp_path: Path) -> None:
    message = refusal(prepare, tmp_path / "run-1", shm="1000TiB")

    assert "/dev/shm has " in message
    assert message.endswith(
        "mount an emptyDir with medium: Memory there (docker run --shm-size=1g)"
    )


@pytest.mark.parametrize(("flag", "text"), [("free", "lots"), ("shm", "0.5"), ("free", "10")])
def test_a_wrong_size_is_refused_before_any_change(tmp_path: Path, flag: str, text: str) -> None:
    assert refusal(prepare, tmp_path / "run-1", **{flag: text}).startswith(f"--{flag} {text!r} is ")
    assert tree(tmp_path) == []


def test_another_user_of_the_group_repeats_what_the_first_one_made(volume: Path) -> None:
    run = volume / "run-1"
    command = ("prepare-workspace", "--directory", run, "--directories", "artifacts")
    first = stepkit_as(1001, *command, "--report", run / "reports/first.json")
    assert first.returncode == 0, first.stderr
    if "system.posix_acl_default" not in os.listxattr(run):
        pytest.skip("this file system has no default ACLs")
    (run / "artifacts/plots").mkdir()  # as a later step does, with any umask
    os.chown(run / "artifacts/plots", 1001, -1)

    second = stepkit_as(RANDOM, *command, "--report", run / "artifacts/plots/second.json")

    assert second.returncode == 0, second.stderr
    assert (run / "artifacts").stat().st_uid == 1001
    assert (run / "artifacts/plots/second.json").stat().st_uid == RANDOM
    assert "uid=54321" in second.stdout.split()


def test_what_another_user_closed_is_named_with_its_owner_and_left_as_it_is(volume: Path) -> None:
    run = volume / "run-1"
    run.mkdir()
    os.chown(run, 1001, 1001)
    run.chmod(0o755)

    done = stepkit_as(RANDOM, "prepare-workspace", "--directory", run)

    assert done.returncode == 2
    assert f"{run} has uid 1001, gid 1001, mode 755, and this process is uid 54321" in done.stderr
    assert "fsGroup" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("[bad-input]")
    assert mode(run) == 0o755
    assert tree(run) == []


def test_a_volume_that_the_user_may_not_write_to_is_named(volume: Path) -> None:
    volume.chmod(0o755)

    done = stepkit_as(RANDOM, "prepare-workspace", "--directory", volume / "run-1", group=7)

    assert done.returncode == 2
    assert f"cannot make {volume}/run-1: Permission denied: {volume} has uid 0" in done.stderr
    assert "this process is uid 54321 with groups 7: give the pod's" in done.stderr


def test_the_group_of_the_volume_is_taken_where_it_may_write(volume: Path) -> None:
    os.chown(volume, 0, 4321)
    volume.chmod(0o775)  # not setgid: files in it get the group of the process
    command = ("prepare-workspace", "--directory", volume / "run-1")

    done = stepkit_as(RANDOM, *command, group=7, also=4321)

    assert done.returncode == 0, done.stderr
    assert (volume / "run-1").stat().st_gid == 4321
    assert mode(volume / "run-1") == 0o2775


VERSION = stepkit.__version__
NEWER = (
    f"the Tasks are of stepkit 9.0.0, newer than {VERSION}, which runs them: run an image of 9.0.0"
)


@pytest.mark.parametrize("tasks", ["0.0.9", VERSION, f"{VERSION}rc1", "", None])
def test_tasks_of_this_version_or_an_older_one_are_accepted(
    tmp_path: Path, tasks: str | None
) -> None:
    assert prepare(tmp_path / "run-1", tasks_version=tasks).directory == tmp_path / "run-1"


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ("9.0.0", NEWER),
        ("0.9.1rc1", "the Tasks are of stepkit 0.9.1rc1, newer"),
        ("0.10.0", "the Tasks are of stepkit 0.10.0, newer"),
        ("new", "--tasks-version 'new' is not a version, such as 0.2.0"),
    ],
)
def test_tasks_that_are_newer_than_the_image_are_refused(
    tmp_path: Path, tasks: str, why: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        prepare(tmp_path / "run-1", tasks_version=tasks)

    assert list(tmp_path.iterdir()) == []


def test_an_option_of_newer_tasks_is_reported_as_such(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--directory=run-1", "--new-option=5", "--tasks-version=9.0.0", f"--report={report}")

    done = commands.stepkit("prepare-workspace", *words, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"stepkit prepare-workspace: error: {NEWER}")
    assert "(unknown option --new-option" in done.stderr
    assert done.stderr.count("\n") == 1
    written = json.loads(report.read_text())
    assert (written["reason"], written["message"][: len(NEWER)]) == ("bad-input", NEWER)
    assert tree(tmp_path) == ["report.json"]
