import fcntl
import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import commands
import pytest
from refusals import refusal
from samples import Origin
from samples import names as all_names
from users import RANDOM, stepkit_as

from stepkit.cli.flags import collect
from stepkit.cli.parser import build_parser
from stepkit.datasets import cache as dataset_cache
from stepkit.errors import Cancelled, ConfigurationError, Reason, ToolError
from stepkit.formats import yaml_files
from stepkit.steps import clean_workspace, git_clone, prepare_workspace
from stepkit.steps.clean_workspace import Options, Outputs
from stepkit.system import cache_directory, mounts, removal
from stepkit.test_suite import environment_cache
from stepkit.workspace import run_marker

DAY = 86400
CACHE = Path("c")
CRON_JOB = Path(__file__).parents[2] / "tasks/cluster/base/clean-workspace.yaml"


def clean(directory: Path, **more: Any) -> Outputs:
    return clean_workspace.run(Options(directory=directory, **more))


def clean_runs(directory: Path, **more: Any) -> Outputs:
    """Remove all runs in which nothing changed for a day."""
    return clean(directory, **{"runs_older_than": DAY, "keep_runs": 0, **more})


def names(directory: Path) -> list[str]:
    return all_names(directory, locks=False)


def clean_as_random_user(volume: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return stepkit_as(RANDOM, "clean-workspace", f"--directory={volume}", *flags)


def run_directory(path: Path, *, days: float, size: int = 10_000) -> Path:
    """Prepare the directory of a run with a file in it, both ``days`` old."""
    prepare_workspace.run(prepare_workspace.Options(directory=path, directories=("artifacts",)))
    (path / "artifacts/page.html").write_bytes(bytes(size))
    age(path, days=days)
    return path


def age(run: Path, *, days: float) -> None:
    moment = time.time() - days * DAY
    marker = run / run_marker.NAME
    fields = json.loads(marker.read_text())
    fields["created"] = datetime.fromtimestamp(moment, UTC).isoformat()
    marker.write_text(json.dumps(fields))
    set_times(run, moment)


def set_times(path: Path, moment: float) -> None:
    inside = [] if path.is_symlink() else path.rglob("*")
    for inner in [*inside, path]:
        os.utime(inner, (moment, moment), follow_symlinks=False)


def test_removes_runs_in_which_nothing_changed_for_so_long(tmp_path: Path) -> None:
    run_directory(tmp_path / "old", days=20)
    run_directory(tmp_path / "young", days=10)

    outputs = clean_runs(tmp_path, runs_older_than=14 * DAY)

    assert names(tmp_path) == ["young"]
    assert (outputs.runs, outputs.backups, outputs.scratch, outputs.cache_entries) == (1, 0, 0, 0)
    assert 10_000 <= outputs.runs_freed == outputs.freed < 100_000
    (item,) = outputs.removed
    assert item.path == str(tmp_path / "old")
    day = (datetime.now(UTC) - timedelta(days=20)).date()
    assert item.why == f"nothing changed in it since {day}"
    assert outputs.message.startswith("removed 1 run, ")


def test_the_newest_runs_stay_whatever_their_age(tmp_path: Path) -> None:
    for days in (20, 30, 40, 50):
        run_directory(tmp_path / f"run-{days}", days=days)

    clean(tmp_path, runs_older_than=14 * DAY, keep_runs=3)

    assert names(tmp_path) == ["run-20", "run-30", "run-40"]


def test_a_run_that_was_used_again_is_not_old(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "old", days=20)
    (run / "artifacts/deep").mkdir()
    (run / "artifacts/deep/late.txt").touch()
    for path in (run, run / "artifacts", run / "artifacts/deep"):
        os.utime(path, (0, 0))

    assert clean_runs(tmp_path, runs_older_than=14 * DAY).runs == 0
    assert names(tmp_path) == ["old"]


def test_a_run_in_which_something_just_changed_stays_whatever_is_asked(tmp_path: Path) -> None:
    run_directory(tmp_path / "now", days=0)

    outputs = clean_runs(tmp_path, runs_older_than=0.0)

    assert names(tmp_path) == ["now"]
    assert "it may be going on" in outputs.kept[0].why


@pytest.mark.parametrize("name", ["execute-notebook.json", "notebooks/intro.ipynb.json"])
@pytest.mark.parametrize(("hours", "left"), [(5, ["run"]), (30, [])])
def test_a_run_with_a_step_that_has_not_ended_is_going_on_for_a_day(
    tmp_path: Path, hours: float, left: list[str], name: str
) -> None:
    run = run_directory(tmp_path / "run", days=2)
    (run / "reports" / name).parent.mkdir(parents=True)
    report = {
        "schema": "stepkit.report/1",
        "step": "execute-notebook",
        "reason": "killed",
        "exit_code": None,
        "started": (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds"),
    }
    (run / "reports" / name).write_text(json.dumps(report))
    set_times(run, time.time() - hours * 3600)

    outputs = clean_runs(tmp_path, runs_older_than=7200.0)

    assert names(tmp_path) == left
    whys = [item.why.split(" in it ")[0] for item in outputs.kept]
    assert whys == ["execute-notebook began"] * len(left)


def test_a_directory_without_a_marker_stays(tmp_path: Path) -> None:
    for name in ("datasets", "run-1", ".hidden"):
        (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "run-1" / run_marker.NAME).write_text('{"schema": "other/1"}')
    (tmp_path / "datasets" / run_marker.NAME).symlink_to("/etc/passwd")
    set_times(tmp_path, 0)

    outputs = clean_runs(tmp_path, runs_older_than=0.0, scratch_older_than=0.0)

    assert names(tmp_path) == [".hidden", "datasets", "run-1"]
    assert outputs.removed == outputs.kept == ()


def test_a_copy_of_a_run_and_a_renamed_run_stay(tmp_path: Path) -> None:
    run_directory(tmp_path / "run-1", days=20)
    run_directory(tmp_path / "run-2", days=20).rename(tmp_path / "paper")
    subprocess.run(["cp", "-a", tmp_path / "run-1", tmp_path / "copy"], check=True)

    outputs = clean_runs(tmp_path)

    assert names(tmp_path) == ["copy", "paper"]
    assert sorted(item.why for item in outputs.kept) == [
        "it is a copy of the directory of run run-1",
        "it was called run-2 when run run-2 began",
    ]


def test_a_marker_that_is_a_link_does_not_count(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", days=20)
    marker = (run / run_marker.NAME).rename(tmp_path / "marker.json")
    (run / run_marker.NAME).symlink_to(marker)
    set_times(run, 0)

    assert clean_runs(tmp_path).runs == 0


@pytest.mark.parametrize("what", ["marker", "file"])
def test_what_is_from_the_future_stays(tmp_path: Path, what: str) -> None:
    run = run_directory(tmp_path / "run", days=-3 if what == "marker" else 20)
    if what == "file":
        set_times(run / "artifacts/page.html", time.time() + 3 * DAY)
        os.utime(run / "artifacts/page.html", (0, time.time() + 3 * DAY))

    outputs = clean_runs(tmp_path)

    assert names(tmp_path) == ["run"]
    assert outputs.kept[0].why.startswith("it is from the future (")
    assert outputs.kept[0].why.endswith("): is the clock right?")


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = run_directory(tmp_path / "outside/linked", days=20)
    workspace = tmp_path / "workspace"
    run = run_directory(workspace / "run", days=20)
    (run / "artifacts/link").symlink_to(outside)
    (workspace / "linked").symlink_to(outside)
    for path in (run, workspace / "linked"):
        set_times(path, 0)

    clean_runs(workspace)

    assert names(workspace) == ["linked"]
    assert names(outside) == [run_marker.NAME, "artifacts"]
    message = refusal(clean_runs, workspace / "linked")
    assert message.endswith("linked is a symbolic link: name the directory itself")


def test_dry_run_lists_and_removes_nothing(tmp_path: Path) -> None:
    run_directory(tmp_path / "old", days=20)

    outputs = clean_runs(tmp_path, dry_run=True)

    assert all_names(tmp_path) == ["old"]
    assert outputs.runs == 1
    assert outputs.freed > 0
    assert outputs.message.startswith("would remove 1 run, ")


def test_files_with_links_elsewhere_free_nothing(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "old", days=20, size=1_000_000)
    os.link(run / "artifacts/page.html", tmp_path / "kept.html")

    assert clean_runs(tmp_path).freed < 100_000
    assert (tmp_path / "kept.html").stat().st_size == 1_000_000


def changed_checkout(origin: Origin, destination: Path) -> Path:
    """Clone twice, with an edit in between; return the backup."""
    options = git_clone.Options(url=origin.url, destination=destination)
    git_clone.run(options)
    (destination / "mine.txt").write_text("work")
    backup = git_clone.run(options).backup
    assert backup
    return backup


def older(backup: Path, *, days: float) -> Path:
    moment = datetime.now(UTC) - timedelta(days=days)
    set_times(backup, moment.timestamp())
    name = backup.name.partition(".backup-")[0]
    return backup.rename(backup.with_name(f"{name}.backup-{moment:%Y%m%dT%H%M%S%fZ}"))


def test_the_time_in_a_backups_name_counts(origin: Origin, tmp_path: Path) -> None:
    run = run_directory(tmp_path / "work/run", days=8)
    new, old = (changed_checkout(origin, run / "source") for _ in range(2))
    age(run, days=8)  # a rename keeps the mtime of the checkout
    old = older(old, days=8)
    age(run, days=8)

    outputs = clean(tmp_path / "work", backups_older_than=7 * DAY)

    assert names(run) == [run_marker.NAME, "artifacts", "source", new.name]
    assert (outputs.backups, outputs.runs) == (1, 0)
    assert outputs.removed[0].path == str(old)
    assert time.time() - run.stat().st_mtime > 7 * DAY, "the run looks as if it had been used"


def test_a_backup_is_as_old_as_the_last_change_in_it(origin: Origin, tmp_path: Path) -> None:
    backup = older(changed_checkout(origin, tmp_path / "work/source"), days=30)
    (backup / "mine.txt").write_text("more work")

    assert clean(tmp_path / "work", backups_older_than=7 * DAY).backups == 0
    assert (backup / "mine.txt").read_text() == "more work"


@pytest.mark.parametrize(
    ("lost", "why"),
    [("checkout", "there is no checkout made by stepkit at "), ("mark", "it is not a checkout")],
    ids=["checkout", "mark"],
)
def test_a_backup_that_git_clone_did_not_make_stays(
    origin: Origin, tmp_path: Path, lost: str, why: str
) -> None:
    work = tmp_path / "work"
    backup = older(changed_checkout(origin, work / "source"), days=30)
    if lost == "checkout":
        (work / "source").rename(work / "mine")
    else:
        (backup / ".git/config").write_text("[core]\n")
        set_times(backup, 0)

    outputs = clean(work, backups_older_than=7 * DAY)

    assert backup.name in names(work)
    assert outputs.kept[0].why.startswith(why)


def test_a_backup_from_the_future_stays(origin: Origin, tmp_path: Path) -> None:
    backup = older(changed_checkout(origin, tmp_path / "work/source"), days=-1)

    outputs = clean(tmp_path / "work", backups_older_than=0.0)

    assert backup.exists()
    assert outputs.kept[0].why.startswith("it is from the future")


def legacy_backup(place: Path, name: str = "source", *, days: float, git: bool = True) -> Path:
    """Make a directory as the older workflow left it, named and changed ``days`` ago."""
    moment = datetime.now(UTC) - timedelta(days=days)
    path = place / f"{name}_backup_{moment:%Y%m%d_%H%M%S}"
    (path / (".git" if git else "data")).mkdir(parents=True)
    (path / "analysis.ipynb").write_text("{}")
    set_times(path, moment.timestamp())
    return path


def test_backups_of_the_older_workflow_go_only_on_request(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", days=1)
    old = legacy_backup(tmp_path, days=8)
    old_in_run = legacy_backup(run, days=9)
    young = legacy_backup(tmp_path, days=6)

    assert clean(tmp_path, backups_older_than=0.0, scratch_older_than=0.0).removed == ()
    outputs = clean(tmp_path, legacy_backups_older_than=7 * DAY)

    assert sorted(item.path for item in outputs.removed) == sorted(map(str, (old, old_in_run)))
    assert {item.kind for item in outputs.removed} == {"backup"}
    assert (outputs.backups, outputs.kept) == (2, ())
    assert outputs.backups_freed == outputs.freed > 0
    assert names(tmp_path) == ["run", young.name]
    assert not old_in_run.exists()


def test_a_changed_backup_of_the_older_workflow_is_not_old(tmp_path: Path) -> None:
    backup = legacy_backup(tmp_path, days=30)
    (backup / "analysis.ipynb").write_text('{"cells": []}')

    assert clean(tmp_path, legacy_backups_older_than=7 * DAY).backups == 0
    assert names(tmp_path) == [backup.name]


def test_a_name_of_the_older_workflow_alone_is_not_enough(tmp_path: Path) -> None:
    data = legacy_backup(tmp_path, "results", days=30, git=False)
    link = tmp_path / "link_backup_20200101_000000"
    link.symlink_to(data)
    (tmp_path / "file_backup_20200101_000000").touch()

    outputs = clean(tmp_path, legacy_backups_older_than=0.0)

    assert outputs.removed == ()
    assert [(item.path, item.why) for item in outputs.kept] \
        == [(str(data), "it is not a checkout of git")]  # fmt: skip
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize(("hours", "kept"), [(10, []), (30, ["it is from the future"])])
def test_a_name_of_another_time_zone_is_young_and_not_from_the_future(
    tmp_path: Path, hours: float, kept: list[str]
) -> None:
    backup = legacy_backup(tmp_path, days=-hours / 24)

    outputs = clean(tmp_path, legacy_backups_older_than=0.0)

    assert names(tmp_path) == [backup.name]
    assert [item.why.partition(" (")[0] for item in outputs.kept] == kept


def scratch(destination: Path, *parts: str, days: float) -> Path:
    path = destination.with_name(f".{destination.name}.stepkit-a1b2c3_4")
    for part in parts:
        (path / part).mkdir(parents=True)
        (path / part / "file").write_text("x")
    set_times(path, time.time() - days * DAY)
    return path


def test_removes_what_killed_commands_left(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", days=3)
    scratch(run / "source", "new", days=2)
    scratch(tmp_path / "young", "new", days=0.1)
    (tmp_path / "there").mkdir()
    scratch(tmp_path / "there", "new", "old", days=2)
    scratch(tmp_path / "other", "somebodys", days=2)
    (tmp_path / ".report.json.stepkit-a1b2c3d4").touch()
    set_times(tmp_path / ".report.json.stepkit-a1b2c3d4", time.time() - 2 * DAY)

    assert clean(tmp_path, scratch_older_than=DAY).scratch == 3
    assert names(tmp_path) == [".other.stepkit-a1b2c3_4", ".young.stepkit-a1b2c3_4", "run", "there"]
    assert names(run) == [run_marker.NAME, "artifacts"]


def test_scratch_whose_lock_is_held_is_in_use(tmp_path: Path) -> None:
    scratch(tmp_path / "source", "new", days=2)
    with (tmp_path / ".source.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert clean(tmp_path, scratch_older_than=DAY).scratch == 0
    assert clean(tmp_path, scratch_older_than=DAY).scratch == 1


def test_scratch_that_holds_the_only_copy_stays(tmp_path: Path) -> None:
    path = scratch(tmp_path / "source", "new", "old", days=2)

    outputs = clean(tmp_path, scratch_older_than=DAY)

    assert path.exists()
    assert outputs.kept[0].why == f"it may hold the only copy of {tmp_path}/source"


def test_another_users_scratch_that_may_hold_the_only_copy_stays(volume: Path) -> None:
    path = scratch(volume / "source", "old", days=2)
    path.chmod(0o700)  # as mkdtemp makes it

    done = clean_as_random_user(volume, "--scratch-older-than=1d")

    assert done.returncode == 0, done.stderr
    assert f"it may hold the only copy of {volume}/source" in done.stderr
    assert (path / "old/file").exists()


def test_scratch_without_a_lock_may_be_in_use_for_an_hour(tmp_path: Path) -> None:
    young = scratch(tmp_path / "unpacked", "new", days=0.01)
    dead = scratch(tmp_path / "source", "new", days=0.01)
    (tmp_path / ".source.lock").touch()  # no process holds it

    clean(tmp_path, scratch_older_than=60.0)

    assert (young.exists(), dead.exists()) == (True, False)


def test_a_removal_that_was_killed_is_finished(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", days=3)
    for place in (tmp_path, run):
        (place / f"{removal.TRASH}0123456789abcdef/deep").mkdir(parents=True)

    assert clean(tmp_path, runs_older_than=14 * DAY).scratch == 2
    assert names(tmp_path) == ["run"]
    assert names(run) == [run_marker.NAME, "artifacts"]


def test_a_name_that_only_resembles_a_removal_stays(tmp_path: Path) -> None:
    (tmp_path / f"{removal.TRASH}can").mkdir()

    assert clean(tmp_path, scratch_older_than=DAY).scratch == 0
    assert names(tmp_path) == [f"{removal.TRASH}can"]


@pytest.mark.parametrize("planted", ["link", "pipe"])
def test_a_link_or_pipe_in_place_of_the_lock_is_not_followed(tmp_path: Path, planted: str) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    lock = work / ".stepkit-clean.lock"
    if planted == "link":
        lock.symlink_to(outside)
        message = refusal(clean_runs, work)
        assert message == f"cannot lock {lock}: Too many levels of symbolic links"
    else:
        os.mkfifo(lock)
        assert clean_runs(work).runs == 0
    assert not outside.exists()


def test_a_disk_without_room_for_a_lock_is_cleaned(small_disk: Path) -> None:
    run = run_directory(small_disk / "run", days=20, size=1)
    used = os.statvfs(small_disk)
    full = f"remount,nr_inodes={used.f_files - used.f_ffree}"
    subprocess.run(["mount", "-o", full, str(small_disk)], check=True)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "one more").touch()

    assert clean_runs(small_disk).runs == 1
    assert not run.exists()


def test_a_cache_behind_a_link_is_refused(tmp_path: Path) -> None:
    dataset_cache.prepare(tmp_path / "theirs/datasets")
    entry = tmp_path / "theirs/datasets" / ("a" * 64)
    entry.write_bytes(b"x")
    set_times(entry, 0)
    work = tmp_path / "work"
    work.mkdir()
    (work / "cache").symlink_to(tmp_path / "theirs")

    message = refusal(clean, work, cache=work / "cache/datasets", cache_older_than=DAY)

    assert message == f"{work}/cache/datasets leads out of {work}, through a link"
    assert entry.exists()


def test_a_marker_with_an_invalid_number_does_not_count(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "run", days=20)
    marker = json.loads((run / run_marker.NAME).read_text())
    (run / run_marker.NAME).write_text(json.dumps({**marker, "inode": float("inf")}))

    assert clean_runs(tmp_path).runs == 0
    assert run.exists()


def test_a_closed_run_does_not_stop_the_cleaning_of_others(volume: Path) -> None:
    run_directory(volume / "closed", days=3).chmod(0o711)
    (volume / "there").mkdir()
    path = scratch(volume / "there", "new", days=2)
    for one in (path, *path.rglob("*")):
        os.chown(one, RANDOM, 0)

    done = clean_as_random_user(volume, "--scratch-older-than=1d")

    assert done.returncode == 0, done.stderr
    assert f"cannot look into {volume}/closed: {volume}/closed has uid 0" in done.stderr
    assert names(volume) == ["closed", "there"]


def test_a_run_is_renamed_before_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_directory(tmp_path / "run", days=20)

    def stop(*_: object) -> None:
        raise Cancelled

    with monkeypatch.context() as patched:
        patched.setattr(removal, "_try_removal", stop)
        with pytest.raises(Cancelled):
            clean_runs(tmp_path)

    (trash,) = names(tmp_path)
    assert trash.startswith(removal.TRASH)
    assert (tmp_path / trash / "artifacts/page.html").exists()
    assert clean_runs(tmp_path).scratch == 1
    assert names(tmp_path) == []


def cache_of(cache: Path, **days: float) -> Path:
    """Write a cache with an entry for each letter, which was used so many days ago."""
    dataset_cache.prepare(cache)
    for letter, age in days.items():
        path = cache / (letter * 64)
        path.write_bytes(bytes(1000))
        used = datetime.fromtimestamp(time.time() - age * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        sidecar = dataset_cache.Sidecar(
            sha256=path.name, size=1000, url="https://x/y", created=used, used=used
        )
        dataset_cache.write_sidecar(path.with_name(f"{path.name}.json"), sidecar)
        os.utime(path, (0, 0))
    return cache


def keys(cache: Path) -> str:
    return "".join(sorted(p.name[0] for p in cache.iterdir() if len(p.name) == 64))


def test_removes_from_the_cache_what_no_run_used_for_so_long(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "cache", a=40, b=20, c=50)

    outputs = clean(tmp_path, cache=cache, cache_older_than=30.0 * DAY)

    assert keys(cache) == "b"
    assert outputs.cache_entries == 2
    assert outputs.cache_freed >= 2000
    assert names(cache) == [cache_directory.TAG, "b" * 64, "b" * 64 + ".json"]


def test_entries_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "cache", a=1, b=3, c=2, d=4)

    clean(tmp_path, cache=cache, cache_size="2000")

    assert keys(cache) == "ac"


def test_an_entry_that_is_in_use_stays(tmp_path: Path) -> None:
    path = cache_of(tmp_path / "cache", a=40) / ("a" * 64)
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outputs = clean(tmp_path, cache=path.parent, cache_older_than=30.0 * DAY)

    assert path.exists()
    assert outputs.cache_entries == 0


def test_a_directory_that_is_not_a_cache_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ("a" * 64)).touch()
    run_directory(tmp_path / "old", days=20)
    problem = "mine has no CACHEDIR.TAG: it is not a cache of download-dataset"

    with pytest.raises(ConfigurationError, match=problem) as caught:
        clean_runs(tmp_path, cache=tmp_path / "mine", cache_size="1GiB")

    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.runs == 1
    assert clean(tmp_path, cache=tmp_path / "missing", cache_size="1GiB").freed == 0


def environment_of(cache: Path, letter: str, days: float) -> Path:
    """Write an environment that was used so many days ago."""

    def make(path: Path) -> None:
        path.mkdir()
        (path / "module.py").write_text("x = 1")

    path = cache / (letter * 64)
    with environment_cache.using(path, make):
        pass
    used = time.time() - days * DAY
    os.utime(path.with_name(f"{path.name}.used"), (used, used))
    return path


def test_removes_environments_that_no_run_used_for_so_long(tmp_path: Path) -> None:
    cache = tmp_path / "cache/environments"
    old, new, future = (environment_of(cache, *of) for of in (("a", 9), ("b", 2), ("c", -2)))
    used = environment_of(cache, "d", 9)
    ages = {"environment_cache": cache, "environments_older_than": 7.0 * DAY}

    planned = clean(tmp_path, dry_run=True, **ages)
    with environment_cache.using(used, lambda path: path):
        os.utime(used.with_name(f"{used.name}.used"), (0, 0))
        outputs = clean(tmp_path, **ages)

    assert (planned.environments, outputs.environments) == (2, 1)
    assert outputs.environments_freed == outputs.freed > 0
    assert outputs.message.startswith("removed 1 environment, ")
    assert [Path(item.path) for item in outputs.kept] == [future]
    assert "it is from the future" in outputs.kept[0].why
    assert not old.exists()
    assert not list(cache.glob("a*"))
    assert all((path / "module.py").exists() for path in (new, future, used))


def test_environments_are_removed_from_their_cache_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / ("a" * 64)).mkdir(parents=True)

    message = refusal(clean, tmp_path, environment_cache=mine, environments_older_than=0.0)
    assert message == (
        f"{mine} has no CACHEDIR.TAG: it is not a cache of environments; nothing was removed there"
    )
    message = refusal(clean, tmp_path, environments_older_than=0.0)
    assert message == "--environments-older-than needs --environment-cache, a directory"
    link = tmp_path / "link"
    link.symlink_to(mine)
    message = refusal(clean, tmp_path, environment_cache=link, environments_older_than=0.0)
    assert message == f"{link} is a symbolic link: name the directory itself"
    assert names(mine) == ["a" * 64]


def test_what_belongs_to_another_user_is_named_and_the_rest_is_removed(volume: Path) -> None:
    for name in ("a", "b"):
        run_directory(volume / name, days=20)
        (volume / name / "private").mkdir(mode=0o700)
        (volume / name / "private/file").touch()
        age(volume / name, days=20)
    for path in (volume / "b", *(volume / "b").rglob("*")):
        os.chown(path, RANDOM, 0)
    report = volume / "clean.json"
    flags = ("--runs-older-than=14d", "--keep-runs=0", f"--report={report}")
    done = clean_as_random_user(volume, *flags)

    assert done.returncode == 4
    assert f"cannot remove all of {volume}/a: Permission denied: " in done.stderr
    assert "/private has uid 0, gid 0, mode 2700" in done.stderr
    assert done.stderr.rstrip().endswith("[tool-failed]")
    outputs = json.loads(report.read_text())["outputs"]
    assert outputs["runs"] == 1
    assert [Path(item["path"]).name for item in outputs["removed"]] == ["b"]
    assert [Path(item["path"]).name for item in outputs["kept"]] == ["a"]
    (left,) = [path for path in names(volume) if path != "clean.json"]
    assert left.startswith(removal.TRASH)


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_directories_that_their_owner_closed_are_removed(volume: Path, mode: int) -> None:
    run = run_directory(volume / "run", days=20)
    for path in (run, run / "artifacts", run / run_marker.NAME):
        os.chown(path, RANDOM, 0)
    (run / "artifacts").chmod(mode)

    done = clean_as_random_user(volume, "--runs-older-than=1d", "--keep-runs=0")

    assert done.returncode == 0, done.stderr
    assert names(volume) == []


def test_two_users_clean_one_workspace_in_turn(volume: Path) -> None:
    command = ("clean-workspace", "--directory", volume, "--runs-older-than", "1d")

    assert stepkit_as(1001, *command).returncode == 0
    second = stepkit_as(RANDOM, *command)

    assert second.returncode == 0, second.stderr


def test_what_has_something_mounted_in_it_stays(tmp_path: Path) -> None:
    run = run_directory(tmp_path / "work/run", days=20)
    (run / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").touch()
    if commands.run("mount", "--bind", tmp_path / "elsewhere", run / "data").returncode:
        pytest.skip("cannot mount here")
    try:
        set_times(run, time.time() - 20 * DAY)
        with pytest.raises(ToolError) as caught:
            clean_runs(tmp_path / "work")
    finally:
        for point in mounts.inside(tmp_path):  # the directory may have been renamed
            subprocess.run(["umount", point], check=True)

    assert caught.value.reason == Reason.TOOL_FAILED
    assert f"something is mounted at {run}/data: unmount it" in str(caught.value)
    assert names(tmp_path / "elsewhere") == ["file"]
    assert names(run) == [run_marker.NAME, "artifacts", "data"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "nothing to do: give at least one of --runs-older-than, "),
        (
            {"cache_older_than": 1.0},
            "--cache-older-than and --cache-size need --cache, a directory",
        ),
        ({"cache": CACHE}, "nothing to do: "),
        ({"cache": CACHE, "cache_size": "much"}, "--cache-size 'much' is not a size: write 4GiB"),
    ],
)
def test_contradictory_options_are_refused(tmp_path: Path, more: Any, message: str) -> None:
    assert refusal(clean, tmp_path, **more).startswith(message)


def test_a_missing_workspace_is_an_error(tmp_path: Path) -> None:
    message = refusal(clean_runs, tmp_path / "typo")

    assert message == f"there is no directory {tmp_path}/typo to clean"


def read_manifest(path: Path) -> Any:
    (manifest,) = yaml_files.read_manifests(path)
    return manifest.value["spec"]


def test_the_command_of_the_nightly_job_parses() -> None:
    spec = read_manifest(CRON_JOB)
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert container["command"] == ["python", "-P", "-m", "stepkit", "clean-workspace"]
    args = build_parser("clean-workspace").parse_args(["clean-workspace", *container["args"]])
    options = collect(Options, args, {})
    assert options.runs_older_than == 14 * DAY
    assert options.cache == Path("cache/datasets")
    assert options.dry_run is False
    assert spec["concurrencyPolicy"] == "Forbid"
    assert pod["serviceAccountName"] == "stepkit-runner"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "stepkit-shared"


def test_the_task_and_the_nightly_job_clean_alike() -> None:
    job = read_manifest(CRON_JOB)
    task = read_manifest(CRON_JOB.parents[2] / "clean-workspace.yaml")
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    defaults = {p["name"]: p.get("default") for p in task["params"]}
    given = dict(argument[2:].split("=") for argument in container["args"])

    assert given == {name: defaults[name] for name in given}
