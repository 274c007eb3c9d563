"""Rows S25 and S28 to S35: users, homes and disks that are not the usual, and old files."""

import fcntl
import json
import os
import random
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import commands
import data_server
import nbformat
import pytest
import samples
import users
from faults.harness import Fault, killing, row
from faults.test_git import is_checkout
from faults.test_git_places import READ_ONLY_ROOT
from faults.test_test_suites import FLAGS, OK, is_junit, run_tests
from samples import Origin


@row("S25")
def test_code_that_python_runs_at_its_start(fault: Fault) -> None:
    ran = fault.private / "ran"
    name = {"pth": "hook.pth"}.get(fault.case, f"{fault.case}.py")
    code = f"open({str(ran)!r}, 'a').write(' '.join(__import__('sys').orig_argv))"

    run_tests(fault, OK, files={name: f"import sys; {code}\n"})

    assert not ran.exists()


def is_notebook(path: Path) -> bool:
    return bool(nbformat.read(path, as_version=4).cells[0].execution_count)


def run(fault: Fault, work: Path, **process: Any) -> None:
    """Run the row's step in a directory with something for it to do."""
    step = fault.expected.step
    if step == "download-dataset":
        with data_server.serving(b"content") as server:
            fault.place(work / "data/file", lambda path: path.read_bytes() == b"content")
            given = [f"--url={server.url}/file", f"--directory={work}/data"]
            fault.run(*given, f"--cache={work}/cache", **process)
        return
    paths, given = {
        "execute-notebook": ("out.ipynb", ["a.ipynb", "out.ipynb"]),
        "convert-notebook": ("a.html", ["--notebook=a.ipynb", "--page=a.html", "--log=log"]),
        "collect-artifacts": ("artifacts/manifest.json", ["--artifacts=artifacts"]),
        "prepare-workspace": ("run", ["--directory=run", "--directories", "a", "b"]),
        "run-tests": ("artifacts/pytest_results.xml", [*FLAGS]),
    }[step]
    samples.write_notebook(work / "a.ipynb", "print(1)")
    for name in ("artifacts", "checkout"):
        (work / name).mkdir()
        (work / name).chmod(0o2775)
    (work / "checkout/test_x.py").write_text(OK)
    wholes = {"execute-notebook": is_notebook, "run-tests": is_junit}
    fault.place(work / paths, wholes.get(step, Path.exists))
    fault.run(*given, **process)


@contextmanager
def closed(fault: Fault) -> Iterator[Path]:
    """Yield a directory to which nobody may write, root included."""
    path = fault.private / "closed"
    path.mkdir(mode=0o500)
    if os.geteuid() != 0:
        yield path
    else:
        with commands.mounted(path, "-t", "tmpfs", "-o", "ro", "tmpfs"):
            yield path


@row("S28")
def test_a_home_that_is_missing_or_closed(fault: Fault) -> None:
    if "closed" in fault.case:
        with closed(fault) as home:
            run(fault, fault.directory, env={"HOME": str(home)})
    else:
        run(fault, fault.directory, env={"HOME": None})


@row("S29")
def test_a_user_without_a_name(fault: Fault, volume: Path) -> None:
    fault.reports = volume
    process = {**users.process_as(users.RANDOM), "cwd": volume}
    process["env"]["HOME"] = None

    run(fault, volume, **process)


@row("S30")
def test_a_root_that_is_read_only(fault: Fault) -> None:
    fault.needs("root", "unshare")
    inside = ("unshare", "-m", "sh", "-c", READ_ONLY_ROOT, "sh")
    if commands.run(*inside, fault.base, "true").returncode:
        pytest.skip("S30: needs mount namespaces")
    if fault.case == "no-temporary-directory":
        samples.write_notebook(fault.directory / "a.ipynb", "print(1)")
        fault.place("out.ipynb", is_notebook)
        given = [fault.directory / "a.ipynb", fault.directory / "out.ipynb"]
        fault.run(*given, before=(*inside, fault.base), cwd="/")
    else:
        run(fault, fault.directory, before=(*inside, fault.base), env={"TMPDIR": None})


@row("S31")
def test_a_directory_of_another_user(fault: Fault, volume: Path) -> None:
    fault.reports = volume
    place = volume / "run"
    place.mkdir()
    os.chown(place, 1001, 1001)
    place.chmod(0o755)
    fault.place(place, lambda _: False)

    fault.run(f"--directory={place}", **users.process_as(users.RANDOM))

    assert stat.S_IMODE(place.stat().st_mode) == 0o755


@row("S32")
def test_an_open_umask(fault: Fault, origin: Origin) -> None:
    before = {*fault.directory.rglob("*")}
    if fault.expected.step == "git-clone":
        place = fault.place("source", is_checkout)
        fault.run("--url", origin.url, "--destination", place, umask=0)
    else:
        run(fault, fault.directory, umask=0)

    made = [path for path in fault.base.rglob("*") if path not in before and not path.is_symlink()]
    assert [path for path in made if path.stat().st_mode & stat.S_IWOTH] == []


def make_backup(fault: Fault, origin: Origin, age: timedelta) -> Path:
    """Clone over a changed checkout, and let the backup of it be as old as is said."""
    clone = ["--url", origin.url, "--destination", "source"]
    fault.prepare(*clone, step="git-clone")
    (fault.directory / "source/mine.txt").write_text("work")
    fault.prepare(*clone, step="git-clone")
    (made,) = fault.directory.glob("source.backup-*")
    moment = datetime.now(UTC) - age
    backup = made.rename(made.with_name(f"source.backup-{moment:%Y%m%dT%H%M%S%fZ}"))
    for path in (backup, *backup.rglob("*")):
        os.utime(path, (moment.timestamp(),) * 2, follow_symlinks=False)
    return backup


CLEAN = ("--directory=.", "--backups-older-than=7d", "--scratch-older-than=1h")


@row("S33")
def test_an_old_backup(fault: Fault, origin: Origin) -> None:
    work = fault.directory
    backup = make_backup(fault, origin, timedelta(days=-1 if fault.case == "future" else 30))
    if fault.case == "no-mark":
        (backup / ".git/config").write_text("[core]\n")
    elif fault.case == "half-removed":
        backup.rename(work / f".stepkit-trash-{'0' * 16}")
    elif fault.case == "scratch-in-use":
        shutil.rmtree(backup)
        backup = work / ".source.stepkit-a1b2c3d4"
        (backup / "new").mkdir(parents=True)
        os.utime(backup, (0, 0))

    with (work / ".source.lock").open("a") as lock:
        if fault.case == "scratch-in-use":
            fcntl.flock(lock, fcntl.LOCK_EX)
        fault.run(*CLEAN)

    gone = fault.case in {"usual", "half-removed"}
    assert not gone or not list(work.glob(".stepkit-trash*"))
    assert backup.exists() != gone
    assert is_checkout(work / "source")


@row("S34")
def test_kills_during_the_collection(fault: Fault) -> None:
    dice = random.Random(34)
    artifacts = fault.directory / "artifacts"
    artifacts.mkdir()
    for number in range(2000):
        (artifacts / f"{number}").write_bytes(b"x" * 1000)

    def lists_all(path: Path) -> bool:
        return len(json.loads(path.read_text())["artifacts"]) >= 2000

    manifest = fault.place("artifacts/manifest.json", lists_all)
    began = time.monotonic()
    fault.prepare("--artifacts=artifacts")
    whole = time.monotonic() - began
    for number in range(6):
        (artifacts / f"new-{number}").touch()
        fault.place(manifest, lists_all)
        fault.run("--artifacts=artifacts", meanwhile=killing(dice.uniform(0.1, 1) * whole))

    fault.prepare("--artifacts=artifacts")
    found = json.loads(manifest.read_text())["artifacts"]
    assert len(found) == 2006
    assert not list(artifacts.glob(".*.stepkit-*"))


@row("S35")
def test_an_artifact_that_changes(fault: Fault) -> None:
    artifacts = fault.directory / "artifacts"
    artifacts.mkdir()
    (artifacts / "a").write_text("x")
    fault.prepare("--artifacts=artifacts", step="collect-artifacts")
    (artifacts / "a").write_text("y")
    (fault.directory / "published").mkdir()
    fault.place("published", lambda _: False)

    fault.run("--artifacts=artifacts", "--destination=published")
