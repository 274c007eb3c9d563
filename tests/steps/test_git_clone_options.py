"""What git-clone fetches: history, references, submodules, some directories, large files."""

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clones import add_submodule_without_url, clone, failed, refused
from git_server import GitServer, serving
from refusals import refusal
from samples import Origin

from stepkit.errors import Reason, UserCodeError
from stepkit.git import commands as git_commands
from stepkit.git import fetch as git_fetch
from stepkit.git.environment import Access


def history(origin: Origin, checkout: Path) -> int:
    return len(origin.git("log", "--format=%H", cwd=checkout).splitlines())


def missing(origin: Origin, checkout: Path) -> list[str]:
    """Return the objects that a partial clone has left on the server."""
    objects = origin.git("rev-list", "--all", "--objects", "--missing=print", "HEAD", cwd=checkout)
    return [line for line in objects.splitlines() if line.startswith("?")]


@pytest.mark.parametrize(("depth", "commits"), [(1, 1), (2, 2), (0, 3)])
def test_depth_limits_the_history(origin: Origin, source: Path, depth: int, commits: int) -> None:
    origin.commit("second")
    origin.commit("third")

    clone(origin, source, depth=depth)

    assert history(origin, source) == commits
    assert clone(origin, source, depth=depth).backup is None


def test_outputs_when_the_commit_was_made(origin: Origin, source: Path) -> None:
    assert clone(origin, source).committer_date == int(origin.git("log", "-1", "--format=%ct"))


def test_fetches_all_tags_when_asked(origin: Origin, source: Path) -> None:
    origin.git("tag", "v1")
    origin.commit("second")
    origin.git("tag", "-a", "-m", "x", "v2")

    clone(origin, source, tags=True, depth=0)

    assert origin.git("tag", cwd=source).split() == ["v1", "v2"]
    assert origin.git("describe", cwd=source) == "v2"
    assert clone(origin, source, tags=True, depth=0).backup is None
    origin.git("tag", "mine", cwd=source)
    assert clone(origin, source).backup is not None


@pytest.mark.parametrize("revision", ["HEAD", "change", "refs/heads/change", "commit"])
def test_a_revision_is_found_in_a_refspec(origin: Origin, source: Path, revision: str) -> None:
    origin.git("checkout", "-b", "side")
    commit = origin.commit("second")
    origin.git("update-ref", "refs/pull/7/head", commit)
    origin.git("checkout", "main")
    origin.git("branch", "-D", "side")
    revision = commit if revision == "commit" else revision
    refspec = ("refs/pull/7/head:refs/heads/change",)

    assert clone(origin, source, refspec=refspec, revision=revision).commit == commit
    assert origin.git("rev-parse", "refs/heads/change", cwd=source) == commit
    assert clone(origin, source).backup is None


@pytest.mark.slow
def test_a_revision_that_no_refspec_fetched_is_looked_up(origin: Origin, tmp_path: Path) -> None:
    first = origin.head
    origin.git("branch", "other")
    second = origin.commit("second")
    refspec = ("refs/heads/main:refs/remotes/origin/main refs/heads/other:refs/remotes/origin/o",)

    assert clone(origin, tmp_path / "a", refspec=refspec, revision="other").commit == first
    assert clone(origin, tmp_path / "b", refspec=refspec, revision="main").commit == second
    assert clone(origin, tmp_path / "d", refspec=refspec, revision="origin/o").commit == first
    assert clone(origin, tmp_path / "c", refspec=refspec).commit == second


@pytest.mark.parametrize("refspec", ["--upload-pack=touch pwned;", "a:b:c", "a..b", "-x"])
def test_a_refspec_is_never_a_git_option(origin: Origin, source: Path, refspec: str) -> None:
    message = refused(origin, source, refspec=(refspec,))

    assert "is not a refspec, such as refs/pull/7/head:refs/pull/7" in message


def test_names_a_refspec_that_the_server_does_not_have(origin: Origin, source: Path) -> None:
    error = failed(origin, source, Reason.NOT_FOUND, refspec=("refs/pull/9/head",))

    assert "couldn't find remote ref refs/pull/9/head" in str(error)


SUBMODULES = ("inner", "outer", "other")


@pytest.fixture
def family(origin: Origin) -> Origin:
    """Return a repository with a submodule of a submodule, and one more."""
    inner, outer, other = (Origin(origin.path.parent / name) for name in SUBMODULES)
    for one in (inner, outer, other):
        one.commit(one.path.name)
    allowed = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    outer.git(*allowed, "../inner", "inner")
    outer.git("commit", "-m", "inner")
    origin.git(*allowed, "../outer", "outer")
    origin.git(*allowed, "../other", "other")
    origin.git("commit", "-m", "submodules")
    return origin


def texts(checkout: Path) -> dict[str, str]:
    found = checkout.rglob("file.txt")
    return {str(path.relative_to(checkout)): path.read_text() for path in found}


ALL = {
    "file.txt": "first",
    "outer/file.txt": "outer",
    "outer/inner/file.txt": "inner",
    "other/file.txt": "other",
}


def test_fetches_submodules_and_theirs_when_asked(family: Origin, tmp_path: Path) -> None:
    clone(family, tmp_path / "without")
    clone(family, tmp_path / "with", submodules=True)

    assert texts(tmp_path / "without") == {"file.txt": "first"}
    assert texts(tmp_path / "with") == ALL
    assert history(family, tmp_path / "with/outer") == 1
    assert clone(family, tmp_path / "with", submodules=True).backup is None


@pytest.mark.slow
def test_fetches_just_the_submodules_that_are_named(family: Origin, source: Path) -> None:
    clone(family, source, submodules=True, submodule_paths=("other, ",), depth=0)

    assert texts(source) == {"file.txt": "first", "other/file.txt": "other"}
    error = failed(family, source, submodules=True, submodule_paths=("gone",))
    assert error.reason == Reason.NOT_FOUND
    assert "has no submodule 'gone' (submodules: other, outer)" in str(error)


@pytest.mark.slow
def test_fetches_an_older_commit_of_a_submodule(family: Origin, source: Path) -> None:
    other = family.path.parent / "other"
    (other / "file.txt").write_text("later")
    family.git("commit", "-a", "-m", "later", cwd=other)

    clone(family, source, submodules=True)

    assert texts(source) == ALL


@pytest.mark.slow
@pytest.mark.parametrize("work", ["edit", "new file", "commit", "index", "setting", "inner"])
def test_work_in_a_submodule_is_kept(family: Origin, source: Path, work: str) -> None:
    clone(family, source, submodules=True)
    place = source / ("outer/inner" if work == "inner" else "outer")
    if work == "setting":
        family.git("config", "submodule.outer.url", "elsewhere", cwd=source)
    else:
        new = {"new file": "new.txt", "index": "index"}.get(work, "file.txt")
        (place / new).write_text("precious")
    if work == "commit":
        before = family.git("rev-parse", "HEAD", cwd=place)
        family.git("commit", "-a", "-m", "mine", cwd=place)
        family.git("checkout", "--detach", before, cwd=place)

    assert clone(family, source, submodules=True).backup is not None
    assert texts(source) == ALL


@pytest.mark.slow
def test_git_status_in_a_submodule_is_not_a_change(family: Origin, source: Path) -> None:
    clone(family, source, submodules=True)
    os.utime(source / "outer/file.txt", (1, 1))
    family.git("status", cwd=source / "outer")

    assert clone(family, source, submodules=True).backup is None


def test_a_submodule_without_a_url_is_left_empty(
    origin: Origin, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_submodule_without_url(origin)

    clone(origin, source, submodules=True)

    assert "module is a submodule without a URL in .gitmodules: left empty" in caplog.text
    assert list((source / "module").iterdir()) == []


@pytest.mark.slow
def test_a_submodule_that_is_gone_fails_the_step(family: Origin, source: Path) -> None:
    shutil.rmtree(family.path.parent / "inner")

    error = failed(family, source, submodules=True)

    assert error.reason is Reason.NOT_FOUND
    assert error.evidence
    assert any("into submodule path" in line for line in error.evidence.output)
    assert not source.exists()


def test_only_a_repository_of_this_machine_reads_its_files(family: Origin) -> None:
    access = Access(url="https://git.example.org/x")

    message = refusal(git_commands.run_remote, access, "ls-remote", family.url)

    assert "transport 'file' not allowed" in message


def test_checks_out_only_the_directories_that_are_named(origin: Origin, source: Path) -> None:
    origin.commit("a", "docs/a.txt")
    origin.commit("b", "docs/drafts/b.txt")
    origin.commit("c", "big/data.txt")

    clone(origin, source, sparse_checkout_directories=("docs,!docs/drafts",))

    assert [str(p.relative_to(source)) for p in source.rglob("*.txt")] == ["docs/a.txt"]
    assert clone(origin, source, sparse_checkout_directories=("docs",)).backup is None
    assert (source / "docs/drafts/b.txt").exists()
    (source / "big").mkdir()
    (source / "big/data.txt").write_text("precious")
    assert clone(origin, source).backup is not None


def test_missing_sparse_directories_are_named(origin: Origin, source: Path) -> None:
    message = refused(origin, source, sparse_checkout_directories=("doc",))

    assert "nothing in the repository fits doc: it holds file.txt" in message


@pytest.mark.slow
def test_a_partial_clone_fetches_files_when_they_are_needed(origin: Origin, source: Path) -> None:
    origin.git("config", "uploadpack.allowFilter", "true")
    origin.commit("second")

    clone(origin, source, filter="blob:none", depth=0)

    assert (source / "file.txt").read_text() == "second"
    assert missing(origin, source)
    assert clone(origin, source, filter="blob:none", depth=0).backup is None
    error = failed(origin, source, filter="tree:0")
    assert "--filter is 'tree:0': write blob:none, or blob:limit=1m" in str(error)


@pytest.fixture
def large(origin: Origin) -> Origin:
    """Return a repository that keeps a file in Git LFS."""
    if not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    origin.git("lfs", "install", "--local")
    origin.git("lfs", "track", "*.bin")
    origin.commit("large content", "data/big.bin")
    (origin.path / "pointer.txt").write_bytes((origin.path / "data/big.bin").read_bytes())
    return origin


def without_lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave all programs on PATH but git-lfs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in os.scandir(place) if os.path.isdir(place) else ():  # noqa: PTH112
            (programs / program.name).unlink(missing_ok=True)
            (programs / program.name).symlink_to(program.path)
    (programs / "git-lfs").unlink()
    monkeypatch.setenv("PATH", str(programs))


def test_fetches_what_is_kept_in_git_lfs(large: Origin, source: Path) -> None:
    clone(large, source)

    assert (source / "data/big.bin").read_text() == "large content"
    assert clone(large, source).backup is None
    assert clone(large, source, lfs="true").backup is None
    (source / "data/big.bin").write_text("precious")
    assert clone(large, source).backup is not None


@pytest.mark.slow
def test_pointers_to_git_lfs_are_left_only_where_that_is_asked(
    large: Origin, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lfs(source.parent, monkeypatch)

    message = refused(large, source)
    required = failed(large, source, lfs="true")
    clone(large, source, lfs="false")

    assert message == (
        "data/big.bin is kept in Git LFS, and there is no git-lfs on PATH: install it "
        "(apt-get install git-lfs), or take the pointers alone with --lfs false"
    )
    assert str(required).startswith("--lfs true, and there is no git-lfs on PATH")
    assert (source / "data/big.bin").read_text().startswith("version https://git-lfs")


@pytest.mark.slow
def test_a_file_that_git_lfs_does_not_have_fails_the_step(large: Origin, source: Path) -> None:
    shutil.rmtree(large.path / ".git/lfs")

    assert refused(large, source)
    assert not source.exists()


def test_links_that_lead_out_cause_a_warning_or_are_refused(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (origin.path / "inside").symlink_to("file.txt")
    (origin.path / "secrets").symlink_to("/etc")
    (origin.path / "above").symlink_to("a/../../x")
    origin.commit("second")

    clone(origin, tmp_path / "source")
    error = failed(origin, tmp_path / "other", outside_links="refuse")

    message = "symbolic links lead out of the checkout: above -> a/../../x, secrets -> /etc"
    assert message in caplog.text
    assert type(error) is UserCodeError
    assert error.reason == Reason.ARTIFACT_INVALID
    assert str(error) == f"{message}: remove them, or allow them with --outside-links warn"
    assert not (tmp_path / "other").exists()


def test_logs_each_git_command_when_asked(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clone(origin, tmp_path / "quiet")
    assert "git fetch" not in caplog.text

    clone(origin, tmp_path / "source", verbose=True)

    assert "git fetch --quiet --force" in caplog.text


def test_says_which_flags_of_the_catalog_are_ignored(
    origin: Origin, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    clone(origin, source, git_init_image="x", user_friendly_errors=True)

    assert caplog.text.count("is ignored") == 2


@pytest.mark.slow
def test_a_broken_older_checkout_is_fetched_anew(origin: Origin, checkout: Path) -> None:
    (checkout / "kept.txt").write_text("kept")
    for path in (checkout / ".git/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"broken")
    origin.commit("second")

    clone(origin, checkout, delete_existing=False)

    assert (checkout / "file.txt").read_text() == "second"
    assert (checkout / "kept.txt").read_text() == "kept"
    subprocess.run(["git", "-C", checkout, "fsck"], check=True)


@pytest.mark.parametrize("before", [{"depth": 1}, {"depth": 0, "filter": "blob:none"}])
def test_the_whole_history_replaces_a_shallow_one(
    origin: Origin, source: Path, before: dict[str, Any]
) -> None:
    origin.git("config", "uploadpack.allowFilter", "true")
    origin.commit("second")
    clone(origin, source, **before)
    origin.commit("third")

    clone(origin, source, depth=0, delete_existing=False)

    assert history(origin, source) == 3
    assert not missing(origin, source)


def test_what_an_older_checkout_has_is_not_fetched_again(origin: Origin, tmp_path: Path) -> None:
    for number in range(20):
        (origin.path / f"{number}.txt").write_text(f"{number}" * 500)
    origin.commit("second")
    old, new = tmp_path / "old", tmp_path / "new"
    older = clone(origin, old).commit
    commit = origin.commit("third")
    new.mkdir()

    git_fetch.check_out(Access(url=origin.url), git_fetch.Wanted(), new, have=old)

    assert git_commands.head_commit(new) == commit
    assert origin.git("for-each-ref", cwd=new) == ""
    origin.git("cat-file", "-e", older, cwd=new)  # which a fetch of depth 1 does not include


@pytest.mark.parametrize("name", ["objects/ab", "objects/pack/a.pack"])
def test_no_link_in_an_older_checkout_brings_a_file_along(
    origin: Origin, checkout: Path, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret/token"
    secret.parent.mkdir()
    secret.write_text("s3cret")
    planted = checkout / ".git" / name
    planted.symlink_to(secret.parent if name == "objects/ab" else secret)
    origin.commit("second")

    clone(origin, checkout, delete_existing=False)

    assert (checkout / "file.txt").read_text() == "second"
    assert secret.stat().st_nlink == 1
    files = (path for path in checkout.rglob("*") if path.is_file())
    assert not [path for path in files if b"s3cret" in path.read_bytes()]


METADATA = "is an address of the machine's own network, where clouds keep credentials"


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("http://169.254.169.254/latest", 1),
        ("http://0xA9FEA9FE/x", 2),
        ("../../../169.254.169.254/x", 1),
        pytest.param("https://2852039166/x", 1, marks=pytest.mark.slow),
        pytest.param("http://[::ffff:169.254.169.254]/x", 1, marks=pytest.mark.slow),
        pytest.param("http://%31%36%39.254.169.254/x", 1, marks=pytest.mark.slow),
        pytest.param("http://user@metadata.google.internal./x", 2, marks=pytest.mark.slow),
    ],
)
def test_a_submodule_at_an_address_where_clouds_keep_credentials_is_refused(
    origin: Origin, source: Path, url: str, level: int
) -> None:
    inner = Origin(origin.path.parent / "inner")
    inner.commit("inner")
    hostile = inner if level > 1 else origin
    (hostile.path / ".gitmodules").write_text(f'[submodule "m"]\n\tpath = m\n\turl = {url}\n')
    hostile.git("add", ".gitmodules")
    hostile.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m")
    hostile.git("commit", "-m", "hostile")
    if level > 1:
        origin.git("-c", "protocol.file.allow=always", "submodule", "add", "../inner", "inner")
        origin.commit("outer")
    with serving(GitServer(origin.path.parent)) as server:
        message = refused(f"{server.url}/origin/.git", source, submodules=True, timeout=5)

    assert METADATA in message
    assert not source.exists()


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x", "ssh://0xA9FEA9FE/x", "g@2852039166:x"]
)
def test_a_repository_at_such_an_address_is_refused(source: Path, url: str) -> None:
    assert METADATA in refused(url, source)
