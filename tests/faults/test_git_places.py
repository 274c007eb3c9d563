"""Rows G47 to G68: the place of a checkout, kills, the environment, and what stays of a token."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import commands
import pytest
import users
import waiting
from children import child
from faults.harness import SECRET, Fault, killing, row, spellings
from faults.preloaded import preloaded
from faults.test_git import is_checkout
from git_server import GitServer, serving
from loopback import Handler
from samples import Origin

CALLS = {
    "rename": "rename,renameat,renameat2",
    "fsync": "fsync,fdatasync,syncfs",
    "mkdir": "mkdir,mkdirat",
    "unlink": "unlink,unlinkat,rmdir",
}
READ_ONLY_ROOT = """\
mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,ro,bind / || exit 99
shift; exec "$@"
"""


def arguments(origin: Origin | str, place: Path, *more: str | Path) -> tuple[str | Path, ...]:
    url = origin if isinstance(origin, str) else origin.url
    return ("--url", url, "--destination", place, "--attempts", "1", *more)


@pytest.fixture
def theirs(volume: Path) -> Origin:
    """Return a repository below a directory that every user can reach."""
    (volume / "server").mkdir()
    origin = Origin(volume / "server/origin")
    origin.commit("first")
    return origin


def hand_over(origin: Origin) -> None:
    """Give a repository to the other user: git serves none of another's."""
    subprocess.run(["chown", "-R", str(users.RANDOM), origin.path], check=True)


@row("G47", "G48", "G49", "G52")
def test_a_disk_of_its_own(fault: Fault, origin: Origin) -> None:
    if fault.number == "G48":
        for number in range(80):
            (origin.path / f"file-{number}").touch()
    if fault.number == "G47":
        (origin.path / "big.bin").write_bytes(os.urandom(2_000_000))
    origin.commit("second")
    disk = fault.directory / "disk"
    disk.mkdir()
    inodes = 70 if fault.number == "G48" else 1000
    size = "1m" if fault.number == "G47" else "50m"
    with commands.mounted(disk, "-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes}", "tmpfs"):
        if fault.number == "G49":
            commands.run("mount", "-o", "remount,ro", disk)
        place = fault.place(disk if fault.case == "mount" else disk / "source", is_checkout)
        env = {"no-locks": {"FLOCK_ERRNO": "37"}, "no-exchange": {"NO_EXCHANGE": "1"}}
        if settings := env.get(fault.case):
            fault.run(*arguments(origin, place), env=preloaded(fault, **settings))
            return
        fault.run(*arguments(origin, place))


@row("G50", "G51")
def test_a_place_that_is_not_a_checkout(fault: Fault, origin: Origin) -> None:
    work = fault.directory
    (work / "file").write_text("mine")
    (work / "work").mkdir()
    (work / "work/mine").write_text("mine")
    (work / "link").symlink_to("work")
    name = {
        "file": "file",
        "other-work": "work",
        "root": "/",
        "device": "/dev/null",
        "below-a-file": "file/source",
        "name-too-long": "n" * 256,
        "": "link",
    }[fault.case]
    kept = fault.place(".", is_checkout)

    fault.run(*arguments(origin, kept / name))


@row("G53")
def test_a_checkout_of_another_user(fault: Fault, theirs: Origin, volume: Path) -> None:
    parent = volume / "shared"
    parent.mkdir()
    parent.chmod(0o2775)
    fault.reports = volume
    place = fault.place(parent / "source", is_checkout)
    fault.prepare(*arguments(theirs, place))
    for path in (place, *place.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode & 0o700 if fault.case == "closed" else mode | (mode & 0o700) >> 3)
    before = fault.place(place, is_checkout).stat().st_ino
    hand_over(theirs)

    fault.run(*arguments(theirs, place), **users.process_as(users.RANDOM))

    assert (place.stat().st_ino == before) == (fault.case == "closed")


@row("G54")
def test_a_parent_of_another_user(fault: Fault, theirs: Origin, volume: Path) -> None:
    (volume / "closed").mkdir(mode=0o755)
    fault.reports = volume
    place = fault.place(volume / "closed/source", is_checkout)
    hand_over(theirs)

    fault.run(*arguments(theirs, place), **users.process_as(users.RANDOM))


@row("G55")
def test_what_a_killed_run_left(fault: Fault, origin: Origin) -> None:
    fault.needs("strace")
    place = fault.place("source", is_checkout)
    fault.prepare(*arguments(origin, place))
    commit = origin.commit("second")
    inside: dict[str, Any] = {"cwd": place} if fault.case == "journal" else {}
    if fault.case == "index-lock":
        (place / ".git/index.lock").touch()
    else:
        kill = ("-e", f"inject={CALLS['rename']}:signal=SIGKILL:when=2+")
        trace = ("strace", "-f", "-o", "/dev/null", "-e", f"trace={CALLS['rename']}", *kill)
        ended = fault.execute("git-clone", arguments(origin, place), before=trace, **inside)
        assert ended.exit == -signal.SIGKILL

    ended = fault.run(*arguments(origin, place), **inside)

    assert ended.report["outputs"]["commit"] == commit


@row("G56")
def test_a_lock_that_is_held(fault: Fault, origin: Origin) -> None:
    place = fault.place("source", is_checkout)
    lock = place.with_name(".source.lock")
    lock.touch()
    if fault.case == "dead-holder":
        lock.write_text("1")
        fault.run(*arguments(origin, place))
        return
    hold = f"import fcntl; f = open({str(lock)!r}); fcntl.flock(f, 2); print('ready', flush=True)"
    with child(f"{hold}; input()") as holder:

        def let_go(process: subprocess.Popen[bytes]) -> None:
            time.sleep(1)
            assert process.poll() is None
            assert not place.exists()
            holder.kill()

        fault.run(*arguments(origin, place), meanwhile=let_go)


@row("G57")
def test_eight_runs_at_once(fault: Fault, origin: Origin) -> None:
    place = fault.place("source", is_checkout)
    commits = [origin.head, origin.commit("second")]

    def run(number: int) -> None:
        fault.execute("git-clone", arguments(origin, place, "--revision", commits[number % 2]))

    with ThreadPoolExecutor(7) as pool:
        list(pool.map(run, range(7)))
    fault.run(*arguments(origin, place))

    assert sorted(path.name for path in fault.directory.iterdir()) == [".source.lock", "source"]


@row("G58")
def test_kills_at_random_moments(fault: Fault, origin: Origin) -> None:
    place = fault.place("source", is_checkout)
    began = time.monotonic()
    fault.prepare(*arguments(origin, place))
    whole, moments = time.monotonic() - began, random.Random(58)
    for number in range(int(os.environ.get("STEPKIT_FAULTS_KILLS", "5"))):
        origin.commit(f"number {number}")
        fault.run(*arguments(origin, place), meanwhile=killing(moments.uniform(0.1, 1) * whole))
        fault.place("source", is_checkout)

    fault.prepare(*arguments(origin, place))
    names = {path.name for path in fault.directory.iterdir()} - {".source.lock", "source"}
    # A kill before the old checkout was examined leaves it as a backup.
    assert all(name.startswith("source.backup-2") for name in names)
    assert all(is_checkout(fault.directory / name) for name in names)


@row("G59", "G60")
def test_a_system_call_at_which_a_run_is_killed_or_fails(fault: Fault, origin: Origin) -> None:
    fault.needs("strace")
    place = fault.place("source", is_checkout)
    fault.prepare(*arguments(origin, place))
    calls = CALLS.get(fault.case) or ",".join(CALLS[name] for name in ("rename", "fsync", "mkdir"))
    happens = "signal=SIGKILL" if fault.number == "G59" else f"error={fault.case}"
    for number in range(1, 5):
        origin.commit(f"number {number}")
        inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:{happens}:when={number}")
        trace = ("strace", "-f", "-o", "/dev/null", *inject)
        fault.run(*arguments(origin, place), before=trace)
        fault.prepare(*arguments(origin, place))


@pytest.fixture
def stalled(origin: Origin) -> Iterator[GitServer]:
    """Serve a repository, and let a fetch of its objects wait until the test ends."""
    server, over = GitServer(origin.path.parent), threading.Event()

    def wait(handler: Handler) -> bool:
        return "Authorization" in handler.headers or (
            handler.command == "POST" and over.wait(waiting.SOON)
        )

    server.refuse = wait
    with serving(server):
        yield server
        over.set()


@row("G61")
def test_sigterm_during_the_fetch(fault: Fault, origin: Origin, stalled: GitServer) -> None:
    place = fault.place("source", is_checkout)
    fault.prepare(*arguments(origin, place))

    def stop(process: subprocess.Popen[bytes]) -> None:
        waiting.until(lambda: any("git-upload-pack" in path for path, _ in stalled.asked))
        process.terminate()

    fault.run(*arguments(f"{stalled.url}/origin/.git", place), meanwhile=stop)


@row("G67")
def test_a_git_that_takes_too_long(fault: Fault, stalled: GitServer) -> None:
    place = fault.place("source", is_checkout)

    fault.run(*arguments(f"{stalled.url}/origin/.git", place, "--timeout", "3s"))


def program(fault: Fault, text: str) -> dict[str, str]:
    """Put a program named git first on PATH; return the environment."""
    directory = fault.private / "programs"
    directory.mkdir()
    (directory / "git").write_text(f"#!/bin/sh\n{text}")
    (directory / "git").chmod(0o755)
    return {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}


@row("G62")
def test_a_git_that_is_missing_or_too_old(fault: Fault, origin: Origin) -> None:
    old = f"""[ "$1" = version ] || exec {shutil.which("git")} "$@"\necho git version 2.31.8\n"""
    env = {"PATH": str(fault.private)} if fault.case == "missing" else program(fault, old)

    fault.run(*arguments(origin, fault.place("source", is_checkout)), env=env)


@row("G63")
def test_a_user_without_name_and_home(fault: Fault, theirs: Origin, volume: Path) -> None:
    fault.reports = volume
    process = users.process_as(users.RANDOM)
    process["env"]["HOME"] = None
    hand_over(theirs)

    fault.run(*arguments(theirs, fault.place(volume / "source", is_checkout)), **process)


@row("G64")
def test_a_root_that_is_read_only(fault: Fault, origin: Origin) -> None:
    fault.needs("root", "unshare")
    inside = ("unshare", "-m", "sh", "-c", READ_ONLY_ROOT, "sh")
    if commands.run(*inside, fault.base, "true").returncode:
        pytest.skip("G64: needs mount namespaces")

    place = fault.place("source", is_checkout)
    fault.run(*arguments(origin, place), before=(*inside, fault.base))


@row("G65")
def test_an_environment_that_brings_git_settings(fault: Fault, origin: Origin) -> None:
    (fault.private / "post-checkout").write_text(f"#!/bin/sh\ntouch {fault.directory}/pwned\n")
    (fault.private / "post-checkout").chmod(0o755)
    env = {
        "GIT_DIR": str(fault.private / "elsewhere"),
        "GIT_SSH_COMMAND": f"touch {fault.directory}/pwned",
        "GIT_ASKPASS": f"{fault.private}/post-checkout",
        "GIT_EXEC_PATH": "/missing",
        "GIT_TRACE_REDACT": "0",
        "GIT_TRACE_CURL": str(fault.directory / "trace"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(fault.private),
        "GIT_TOKEN": SECRET,
    }

    fault.run(*arguments(origin, fault.place("source", is_checkout)), env=env)

    assert sorted(path.name for path in fault.directory.iterdir()) == [".source.lock", "source"]


@row("G66")
def test_a_child_of_git_that_keeps_stderr_open(fault: Fault, origin: Origin) -> None:
    env = program(fault, f'[ "$1" = fetch ] && sleep 600 &\nexec {shutil.which("git")} "$@"\n')

    fault.run(*arguments(origin, fault.place("source", is_checkout)), env=env)


@row("G68")
def test_a_token_is_nowhere(fault: Fault, origin: Origin) -> None:
    token = f"{SECRET}+G68"  # other tests run beside this one
    login = "Basic " + b64encode(f"x-access-token:{token}".encode()).decode()
    seen: set[str] = set()

    def look(process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            for entry in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        content = (entry / name).read_bytes()
                        if any(text in content for text in spellings(token)):
                            seen.add(f"{entry.name}/{name}")
        seen.discard(f"{process.pid}/environ")  # the test itself put it there

    with serving(GitServer(origin.path.parent, login=login)) as server:
        url = f"{server.url}/origin/.git"
        place = fault.place("source", is_checkout)
        fault.run(*arguments(url, place), env={"GIT_TOKEN": token}, meanwhile=look)

    assert seen == set()
    assert login in {given for _, given in server.asked}
