"""Checkouts into a directory that must stay itself, or that keeps its other files."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import commands
import pytest
from clones import clone, clone_keeping_work, failed, refused
from samples import Origin, names
from users import RANDOM, stepkit_as

from stepkit.git.swap_contents import PLACE


@pytest.fixture(params=["tmpfs", "bind"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Yield a mount point: of a separate file system, or of a directory as with subPath."""
    place, backing = tmp_path / "output", tmp_path / "backing"
    place.mkdir()
    backing.mkdir()
    kinds = {"tmpfs": ("-t", "tmpfs", "tmpfs"), "bind": ("--bind", str(backing))}
    with commands.mounted(place, *kinds[request.param]):
        yield place


def test_a_mount_point_is_filled_in_place(origin: Origin, mounted: Path) -> None:
    (mounted / "lost+found").mkdir(mode=0o700)
    before = mounted.stat().st_ino

    assert clone(origin, mounted).checkout == mounted
    assert names(mounted) == [".git", "file.txt", "lost+found"]
    assert mounted.stat().st_ino == before
    commit = origin.commit("second")
    assert clone(origin, mounted).commit == commit
    assert (mounted / "file.txt").read_text() == "second"
    assert names(mounted) == [".git", "file.txt", "lost+found"]


def test_work_in_a_mount_point_is_kept_inside_of_it(origin: Origin, mounted: Path) -> None:
    clone(origin, mounted)
    (mounted / "file.txt").write_text("precious")
    (mounted / "new.txt").write_text("precious too")

    backup = clone_keeping_work(origin, mounted)

    assert backup.parent == mounted
    assert names(mounted) == [".git", "file.txt", backup.name]
    assert (backup / "file.txt").read_text() == "precious"
    assert (backup / "new.txt").read_text() == "precious too"
    assert clone(origin, mounted).backup is None
    assert (backup / "new.txt").exists()


def test_a_foreign_checkout_in_a_mount_point_is_taken_over(origin: Origin, mounted: Path) -> None:
    subprocess.run(["git", "clone", "-q", origin.url, mounted], check=True)

    assert names(clone_keeping_work(origin, mounted)) == [".git", "file.txt"]


def test_a_mount_point_with_other_files_is_refused(origin: Origin, mounted: Path) -> None:
    (mounted / "results.csv").write_text("precious")

    message = refused(origin, mounted)

    assert f"{mounted} holds work that is not a checkout" in message
    assert "--delete-existing false" in message
    assert names(mounted) == ["results.csv"]


def test_a_failed_fetch_leaves_a_mount_point_as_it_was(origin: Origin, mounted: Path) -> None:
    clone(origin, mounted)

    failed(origin, mounted, revision="gone")

    assert names(mounted) == [".git", "file.txt"]


def test_something_mounted_inside_is_named(origin: Origin, mounted: Path) -> None:
    (mounted / "cache").mkdir()
    clone(origin, mounted, delete_existing=False)
    with commands.mounted(mounted / "cache", "-t", "tmpfs", "tmpfs"):
        error = failed(origin, mounted)

    problem = "something is mounted there: name another directory"
    assert str(error) == f"cannot move {mounted}/cache: {problem}"
    assert names(mounted) == [".git", "cache", "file.txt"]


def test_the_working_directory_stays_the_same_directory(origin: Origin, source: Path) -> None:
    """Under run-local, the workspaces are directories, not mounts."""
    source.mkdir()

    with chdir(source):
        clone(origin, Path())

        assert names(Path()) == [".git", "file.txt"]


def test_files_that_the_repository_lacks_stay_when_asked(origin: Origin, source: Path) -> None:
    origin.commit("old", "old.txt")
    origin.commit("a", "docs/a.txt")
    (source / "docs").mkdir(parents=True)
    (source / "docs/mine.txt").write_text("mine")
    (source / "mine.txt").write_text("mine")

    assert clone(origin, source, delete_existing=False).backup is None
    origin.git("rm", "-q", "old.txt")
    origin.commit("third")
    assert clone(origin, source, delete_existing=False).backup is None

    assert names(source) == [".git", "docs", "file.txt", "mine.txt"]
    assert names(source / "docs") == ["a.txt", "mine.txt"]
    assert (source / "file.txt").read_text() == "third"
    assert origin.git("status", "--porcelain", cwd=source) == "?? docs/mine.txt\n?? mine.txt"


@pytest.mark.slow
def test_a_file_that_the_repository_got_meanwhile_is_kept(origin: Origin, checkout: Path) -> None:
    (checkout / "new.txt").write_text("precious")
    origin.commit("theirs", "new.txt")

    backup = clone_keeping_work(origin, checkout, delete_existing=False)

    assert (backup / "new.txt").read_text() == "precious"
    assert (checkout / "new.txt").read_text() == "theirs"


@pytest.mark.parametrize("work", ["edit", "commit", "other tool", "in the way"])
def test_replaced_work_is_kept_as_a_backup(origin: Origin, source: Path, work: str) -> None:
    if work == "other tool":
        subprocess.run(["git", "clone", "-q", origin.url, source], check=True)
    elif work == "in the way":
        (source / "file.txt").mkdir(parents=True)
        (source / "file.txt/deep.txt").write_text("precious")
    else:
        clone(origin, source)
        (source / "file.txt").write_text("precious")
        if work == "commit":
            origin.git("commit", "-a", "-m", "mine", cwd=source)
    (source / "mine.txt").write_text("mine")

    backup = clone_keeping_work(origin, source, delete_existing=False)

    kept = "file.txt/deep.txt" if work == "in the way" else "file.txt"
    assert (backup / kept).read_text() in {"precious", "first"}
    assert (source / "file.txt").read_text() == "first"
    assert (source / "mine.txt").read_text() == "mine"


def test_no_file_is_written_through_a_link_that_stays(origin: Origin, source: Path) -> None:
    origin.commit("a", "docs/a.txt")
    elsewhere = source.with_name("elsewhere")
    elsewhere.mkdir()
    source.mkdir()
    (source / "docs").symlink_to(elsewhere)

    clone(origin, source, delete_existing=False)

    assert names(elsewhere) == []
    assert (source / "docs/a.txt").read_text() == "a"


def test_a_mount_in_a_separate_namespace_is_filled_in_place(origin: Origin, tmp_path: Path) -> None:
    """As in a pod, whose mounts other pods do not see."""
    place, backing = tmp_path / "output", tmp_path / "backing"
    place.mkdir()
    backing.mkdir()
    inside = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", inside, "sh", str(backing), str(place)]
    if not shutil.which("unshare") or commands.run(*command, "true").returncode:
        pytest.skip("cannot mount in a separate namespace here")
    run = [sys.executable, "-m", "stepkit", "git-clone", "--url", origin.url]

    for _ in range(2):
        subprocess.run([*command, *run, "--destination", str(place)], check=True)

    assert names(backing) == [".git", "file.txt"]
    assert names(place) == []


PIPELINE = """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: for-the-catalog}
spec:
  params: [{name: url, type: string}]
  workspaces: [{name: source}, {name: login}]
  results:
    - {name: commit, value: $(tasks.fetch.results.commit)}
    - {name: url, value: $(tasks.fetch.results.url)}
    - {name: date, value: $(tasks.fetch.results.committer-date)}
    - {name: chains, value: $(tasks.fetch.results.CHAINS-GIT_COMMIT)}
    - {name: backup, value: $(tasks.fetch.results.backup-path)}
  tasks:
    - name: fetch
      taskRef: {name: git-clone}
      workspaces: [{name: output, workspace: source}, {name: basic-auth, workspace: login}]
      params:
        - {name: url, value: $(params.url)}
        - {name: revision, value: ""}
        - {name: refspec, value: ""}
        - {name: submodules, value: "true"}
        - {name: submodulePaths, value: ""}
        - {name: depth, value: "1"}
        - {name: sslVerify, value: "true"}
        - {name: crtFileName, value: ca-bundle.crt}
        - {name: subdirectory, value: ""}
        - {name: sparseCheckoutDirectories, value: ""}
        - {name: deleteExisting, value: "true"}
        - {name: httpProxy, value: ""}
        - {name: httpsProxy, value: ""}
        - {name: noProxy, value: ""}
        - {name: verbose, value: "true"}
        - {name: userFriendlyErrors, value: "true"}
        - {name: gitInitImage, value: "git-init:v1.0.2"}
        - {name: userHome, value: /home/git}
"""


def test_a_pipeline_for_the_catalogs_task_runs_unchanged(origin: Origin, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "tasks/git-clone.yaml", tmp_path)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "source").mkdir()
    (tmp_path / "login").mkdir()
    (tmp_path / "login/.git-credentials").write_text("https://me:s3cret@git.example.org\n")
    given = ("--param", f"url={origin.url}", "--workspace", "source=source", "login=login")

    done = commands.stepkit("run-local", "pipeline.yaml", *given, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "source") == [".git", "file.txt"]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("results=")]
    assert json.loads(line.removeprefix("results=")) == {
        "commit": origin.head,
        "url": origin.url,
        "date": origin.git("log", "-1", "--format=%ct"),
        "chains": origin.head,
        "backup": "",
    }
    assert "s3cret" not in done.stdout + done.stderr


DYING = """
import os, signal, sys
from pathlib import Path
made = 0
def wrapped(call):
    def change(*args, **more):
        global made
        if "stepkit-git-clone" in f"{args}":
            made += 1
            if made == int(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **more)
    return change
for name in ("rename", "replace", "rmdir"):
    setattr(os, name, wrapped(getattr(os, name)))
from stepkit.steps import git_clone
git_clone.run(git_clone.Options(url=sys.argv[2], destination=Path(sys.argv[3]),
                                delete_existing=sys.argv[4] == "True"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["replaced", "laid over"])
def test_after_a_kill_at_any_move_the_next_run_finds_a_whole_checkout(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    delete_existing = kind == "replaced"
    place = tmp_path / "workspace"
    place.mkdir()
    monkeypatch.chdir(place)
    clone(origin, place)
    (place / "file.txt").write_text("precious")
    (place / "mine.txt").write_text("mine")
    origin.commit("second")

    kills = 0
    while True:
        arguments = [str(kills + 1), origin.url, str(place), str(delete_existing)]
        done = subprocess.run([sys.executable, "-c", DYING, *arguments], check=False)
        if done.returncode != -signal.SIGKILL:
            break
        kills += 1
        failed(origin, place, revision="gone", delete_existing=delete_existing)
        kept = [*place.glob("*.backup-*"), *tmp_path.glob("*.backup-*")]
        (precious,) = [
            one for one in [place, *kept] if (one / "file.txt").read_text() == "precious"
        ]
        assert origin.git("status", "--porcelain", cwd=precious).splitlines()
        if precious != place:  # all was moved when it was killed
            assert (place / "file.txt").read_text() == "second"
            break
    assert done.returncode in {0, -signal.SIGKILL}
    assert kills >= 5
    assert PLACE not in names(place)


def test_a_repository_with_the_scratch_directory_is_refused(origin: Origin, source: Path) -> None:
    origin.commit("{}", f"{PLACE}/run-1/journal.json")

    assert str(failed(origin, source)) == f"the repository holds {PLACE}, which is stepkit's"
    assert not source.exists()


@pytest.fixture
def theirs(volume: Path) -> Origin:
    (volume / "server").mkdir()
    origin = Origin(volume / "server/origin")
    origin.commit("first")
    subprocess.run(["chown", "-R", str(RANDOM), volume / "server"], check=True)
    return origin


@pytest.mark.slow
def test_a_user_without_a_name_or_home_clones(theirs: Origin, volume: Path) -> None:
    place = volume / "output"
    place.mkdir()
    place.chmod(0o2775)

    command = ("git-clone", "--url", theirs.url, "--destination", place / "source")
    for _ in range(2):
        done = stepkit_as(RANDOM, *command)

        assert done.returncode == 0, done.stderr
        assert (place / "source/file.txt").read_text() == "first"
        assert (place / "source").stat().st_uid == RANDOM
    assert names(place) == [".source.lock", "source"]


@pytest.mark.slow
def test_another_users_files_that_cannot_be_moved_are_named(theirs: Origin, volume: Path) -> None:
    source = volume / "source"
    source.mkdir()
    (source / "mine.txt").write_text("mine")
    subprocess.run(["git", "init", "-q", source], check=True)
    source.chmod(0o2775)

    flags = (f"--url={theirs.url}", f"--destination={source}", "--delete-existing=false")
    done = stepkit_as(RANDOM, "git-clone", *flags)

    assert done.returncode == 2, done.stderr
    assert f"cannot move {source}/.git: it belongs to uid 0 (mode 2755), and this" in done.stderr
    assert f"is uid {RANDOM}: run all tasks with one uid or fsGroup" in done.stderr
    assert names(source) == [".git", "mine.txt"]
