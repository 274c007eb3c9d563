import os
import socket
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import loopback
import pytest
from clones import add_submodule_without_url, clone, clone_keeping_work, failed, read_files, refused
from samples import Origin
from samples import names as all_names

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.steps import git_clone
from stepkit.steps.git_clone import Outputs


def names(directory: Path) -> list[str]:
    return all_names(directory, locks=False)


def test_checks_out_the_default_branch_without_a_revision(origin: Origin, tmp_path: Path) -> None:
    origin.git("branch", "-m", "main", "trunk")
    commit = origin.commit("second")

    outputs = clone(origin, tmp_path / "work/source")

    assert outputs == Outputs(
        commit=commit,
        checkout=tmp_path / "work/source",
        url=origin.url,
        committer_date=int(origin.git("log", "-1", "--format=%ct")),
    )
    assert (tmp_path / "work/source/file.txt").read_text() == "second"
    assert names(tmp_path / "work") == ["source"]


@pytest.mark.parametrize("spelling", ["branch", "tag", "annotated", "refs/tags/tag", "commit"])
def test_checks_out_exactly_the_given_revision(origin: Origin, source: Path, spelling: str) -> None:
    first = origin.head
    origin.git("branch", "branch")
    origin.git("tag", "tag")
    origin.git("tag", "-a", "-m", "x", "annotated")
    origin.commit("second")

    outputs = clone(origin, source, revision=first if spelling == "commit" else spelling)

    assert outputs.commit == first
    assert (source / "file.txt").read_text() == "first"


def test_a_name_of_both_a_branch_and_a_tag_is_refused(origin: Origin, source: Path) -> None:
    origin.git("tag", "v1")
    origin.git("checkout", "-b", "v1")
    commit = origin.commit("second")

    assert "'v1' is both a branch and a tag" in str(failed(origin, source, revision="v1"))
    assert clone(origin, source, revision="refs/heads/v1").commit == commit


def test_replaces_an_older_checkout_of_stepkit(origin: Origin, checkout: Path) -> None:
    commit = origin.commit("second")

    outputs = clone(origin, checkout)

    assert outputs.commit == commit
    assert outputs.backup is None
    assert names(checkout.parent) == ["server", "source"]


@pytest.mark.parametrize("change", ["edit", "new file", "commit"])
def test_a_changed_older_checkout_is_kept(origin: Origin, checkout: Path, change: str) -> None:
    (checkout / ("new.txt" if change == "new file" else "file.txt")).write_text("precious")
    if change == "commit":
        origin.git("commit", "-a", "-m", "mine", cwd=checkout)

    backup = clone_keeping_work(origin, checkout)

    assert "precious" in [path.read_text() for path in backup.glob("*.txt")]
    assert (checkout / "file.txt").read_text() == "first"
    assert names(checkout.parent) == ["server", "source", backup.name]


def hide_work(origin: Origin, source: Path, kind: str) -> None:
    """Change a checkout in a way that a plain ``git status`` does not show."""
    file, new = source / "file.txt", source / "new.txt"
    if kind.startswith("ignored"):
        name = ".git/info/exclude" if kind == "ignored by exclude" else ".gitignore"
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("new.txt\n.gitignore\n")
        new.write_text("precious")
    elif kind in {"--skip-worktree", "--assume-unchanged"}:
        origin.git("update-index", kind, "file.txt", cwd=source)
        file.write_text("precious")
    elif kind == "untracked files not shown":
        origin.git("config", "status.showUntrackedFiles", "no", cwd=source)
        new.write_text("precious")
    elif kind == "submodule":
        origin.git("init", str(source / "module"), cwd=source)
        (source / "module/new.txt").write_text("precious")
    else:
        file.write_text("precious")
        hide_commit(origin, source, kind)


def hide_commit(origin: Origin, source: Path, kind: str) -> None:
    if kind == "stash":
        origin.git("stash", cwd=source)
        return
    if kind == "branch":
        origin.git("checkout", "-b", "mine", cwd=source)
    origin.git("commit", "-a", "-m", "mine", cwd=source)
    if kind == "tag":
        origin.git("tag", "mine", cwd=source)
    back = origin.git("config", "stepkit.commit", cwd=source)
    origin.git("checkout", "--detach", back, cwd=source)


@pytest.mark.parametrize(
    "kind",
    [
        "ignored",
        "stash",
        "branch",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in (
                "ignored by exclude",
                "--skip-worktree",
                "--assume-unchanged",
                "untracked files not shown",
                "tag",
                "reflog",
                "submodule",
            )
        ),
    ],
)
def test_work_that_git_does_not_show_is_kept_too(origin: Origin, source: Path, kind: str) -> None:
    if kind == "submodule":
        add_submodule_without_url(origin)
    clone(origin, source)
    assert clone(origin, source).backup is None
    hide_work(origin, source, kind)
    before = {path.relative_to(source) for path in source.rglob("*")}

    backup = clone_keeping_work(origin, source)

    assert {path.relative_to(backup) for path in backup.rglob("*")} == before
    assert (source / "file.txt").read_text() == "first"
    assert names(source.parent) == ["server", "source", backup.name]


@pytest.mark.parametrize(
    "damage", ["index", "objects", "HEAD", "orphan", "no mark", "owner", "worktree", "hook"]
)
def test_a_broken_checkout_is_kept(origin: Origin, checkout: Path, damage: str) -> None:
    if damage in {"index", "HEAD"}:
        (checkout / ".git" / damage).write_bytes(b"\xff broken")
    elif damage == "objects":
        for path in (checkout / ".git/objects").rglob("*"):
            if path.is_file():
                path.unlink()
    elif damage == "orphan":
        origin.git("checkout", "--orphan", "none", cwd=checkout)
    elif damage == "no mark":
        origin.git("config", "--rename-section", "stepkit", "stepkit.other", cwd=checkout)
    elif damage == "owner":
        give_away(checkout)
    elif damage == "worktree":
        origin.git("worktree", "add", str(checkout / "tree"), cwd=checkout)
    else:
        (checkout / ".git/hooks").mkdir()
        (checkout / ".git/hooks/pre-commit").touch()

    outputs = clone(origin, checkout)

    assert outputs.commit == origin.head
    assert (outputs.backup is None) == (damage == "owner")


def give_away(directory: Path) -> None:
    try:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, 12345, 12345)
    except PermissionError:
        pytest.skip("only root can give files to another user")


@pytest.mark.parametrize("config", [b"[core\n", b"\xff\xfe\0", b""])
def test_a_checkout_with_broken_settings_is_not_replaced(
    origin: Origin, checkout: Path, config: bytes
) -> None:
    (checkout / ".git/config").write_bytes(config)

    assert "holds work that is not a checkout" in str(failed(origin, checkout))
    assert (checkout / ".git/config").read_bytes() == config


@pytest.mark.parametrize("plant", ["fsmonitor", "filter", "include", "submodule"])
def test_runs_no_program_that_was_planted_in_the_older_checkout(
    origin: Origin, source: Path, tmp_path: Path, plant: str
) -> None:
    if plant == "submodule":
        add_submodule_without_url(origin)
    clone(origin, source)
    program = tmp_path / "server/planted"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    if plant == "filter":
        (source / ".git/info").mkdir(exist_ok=True)
        (source / ".git/info/attributes").write_text("* filter=x\n")
        origin.git("config", "filter.x.clean", str(program), cwd=source)
        os.utime(source / "file.txt", (1, 1))
    elif plant == "include":
        (source / "more").write_text(f"[core]\n\tfsmonitor = {program}\n")
        origin.git("config", "include.path", "../more", cwd=source)
    else:
        place = source
        if plant == "submodule":
            place = source / "module"
            origin.git("clone", origin.url, str(place), cwd=tmp_path)
        origin.git("config", "core.fsmonitor", str(program), cwd=place)

    assert clone(origin, source).backup is not None
    assert not (tmp_path / "ran").exists()


def test_edits_during_the_fetch_are_kept(
    origin: Origin, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper chooses the moment; the fetch is real."""
    fetch = git_clone._fetch
    origin.commit("second")

    def editing(*args: Any) -> str:
        (checkout / "file.txt").write_text("precious")
        return fetch(*args)

    monkeypatch.setattr(git_clone, "_fetch", editing)

    assert (clone_keeping_work(origin, checkout) / "file.txt").read_text() == "precious"


def test_a_long_name_has_a_shorter_backup(origin: Origin, tmp_path: Path) -> None:
    source = tmp_path / ("\u00e9" * 115)  # 230 bytes
    clone(origin, source)
    (source / "file.txt").write_text("precious")

    backup = clone_keeping_work(origin, source)

    assert backup.name.encode().startswith("\u00e9".encode() * 100)
    assert (backup / "file.txt").read_text() == "precious"


def test_removes_the_scratch_of_a_killed_run(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / ".source.stepkit-abcd1234/new").mkdir(parents=True)

    clone(origin, tmp_path / "source")

    assert names(tmp_path) == ["server", "source"]


def test_names_a_repository_that_does_not_exist(tmp_path: Path, source: Path) -> None:
    message = refused(f"file://{tmp_path}/gone", source, Reason.NOT_FOUND)

    assert message.endswith("does not appear to be a git repository: check the URL")


@pytest.mark.parametrize("name", ["feat/a,b", "we#ird!(x)", "q'uote", "pct%20", "\u00e9", "a@b"])
def test_takes_every_name_that_git_allows(origin: Origin, source: Path, name: str) -> None:
    origin.git("checkout", "-b", name)
    commit = origin.commit("second")
    origin.git("checkout", "main")

    assert clone(origin, source, revision=name).commit == commit


def test_takes_the_full_name_of_a_commit_or_tag_in_any_case(origin: Origin, source: Path) -> None:
    origin.git("tag", "-a", "-m", "x", "annotated")
    tag, commit = origin.git("rev-parse", "annotated"), origin.head

    assert clone(origin, source, revision=tag).commit == commit
    assert clone(origin, source, revision=commit.upper()).commit == commit
    assert clone(origin, source, revision=commit).backup is None


def test_a_file_of_the_repository_is_not_a_commit(origin: Origin, source: Path) -> None:
    origin.git("tag", "blob", "HEAD:file.txt")

    assert refused(origin, source, revision=origin.git("rev-parse", "blob"))
    assert names(source.parent) == ["server"]


def test_failure_leaves_the_older_checkout_alone(origin: Origin, checkout: Path) -> None:
    message = refused(origin, checkout, Reason.NOT_FOUND, revision="gone")

    assert message == f"{origin.url} has no branch or tag 'gone' (branches: main)"
    assert (checkout / "file.txt").read_text() == "first"
    assert names(checkout.parent) == ["server", "source"]


def test_what_the_server_says_is_evidence_and_stands_in_the_log(
    origin: Origin, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reference = origin.path / ".git/refs/heads/main"
    reference.write_text("0123456789" * 4 + "\n")

    error = failed(origin, source)

    assert error.evidence
    assert len(error.evidence.output) > 1
    for line in error.evidence.output:
        assert f"git: {line}" in caplog.messages
    assert names(source.parent) == ["server"]


def test_a_commit_that_the_server_does_not_have_is_refused(origin: Origin, source: Path) -> None:
    assert "not our ref" in refused(origin, source, revision="1" * 40)
    assert names(source.parent) == ["server"]


@pytest.mark.parametrize("work", ["files", "foreign checkout", "file", "link"])
def test_never_replaces_other_work(origin: Origin, source: Path, tmp_path: Path, work: str) -> None:
    if work == "files":
        source.mkdir()
        (source / "results.csv").write_text("precious")
    elif work == "foreign checkout":
        subprocess.run(["git", "clone", "-q", origin.url, source], check=True)
    elif work == "file":
        source.write_text("precious")
    else:
        source.symlink_to(tmp_path / "server")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    assert str(source) in refused(origin, source)
    assert before.items() <= {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}.items() | {
        (tmp_path, before.get(tmp_path))
    }


def test_an_empty_directory_is_replaced(origin: Origin, source: Path) -> None:
    source.mkdir()

    assert clone(origin, source).commit == origin.head


def test_refuses_to_replace_a_mount_point_that_holds_other_things(origin: Origin) -> None:
    message = refused(origin, Path("/proc"))

    assert "/proc holds work that is not a checkout" in message
    assert "keep it with --delete-existing false, name another directory" in message


@pytest.mark.parametrize(
    "revision",
    [
        "--upload-pack=touch pwned;",
        "-x",
        "a..b",
        "a b",
        "x\ny",
        "HEAD^",
        "",
        "@",
        "a@{1}",
        "a~1",
        "a:b",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.",
        "a*",
        "a\0b",
    ],
)
def test_a_revision_is_never_a_git_option(origin: Origin, source: Path, revision: str) -> None:
    assert "is not a branch, tag or full commit" in refused(origin, source, revision=revision)
    assert names(source.parent) == ["server"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ext::sh -c touch% pwned", "is not a repository URL"),
        ("/no/such/path", "is not a repository URL"),
        ("/tmp", "(write file:///tmp)"),
        ("ssh://git@host/x", "ssh://host/x needs an ssh key: name the directory"),
        ("git@host.org:you/x.git", "needs an ssh key: name the directory that holds it"),
        ("https://user:pa55w0rd@host/x", "holds credentials: pass the token in the environment"),
        ("https://[x", "is not a repository URL: its host is wrong"),
        ("https://user:pa55w0rd@[x", "is not a repository URL: its host is wrong"),
        ("x" * 5000, "is not a repository URL"),
        ("https://host/a%0ab", "blank or control character"),
        ("http://", "is not a repository URL: it names no host"),
        ("https:///you/x.git", "is not a repository URL: it names no host"),
    ],
)
def test_refuses_a_dangerous_or_invalid_url(source: Path, url: str, said: str) -> None:
    message = refused(url, source)

    assert said in message
    assert "pa55w0rd" not in message


def test_a_token_does_not_travel_unencrypted(source: Path) -> None:
    error = failed("http://git.example.org/x", source, token="s3cret")

    assert "a token must not travel unencrypted" in str(error)


class Server(ThreadingHTTPServer):
    """Answer every request with ``status``; keep its headers and the running git processes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 503
        self.body = b""
        self.location = ""
        self.credentials: list[str | None] = []
        self.processes = b""
        self.token_files: list[Path] = []
        self.url = f"http://127.0.0.1:{self.server_port}/repo.git"


class Handler(loopback.Handler):
    server: Server

    def do_GET(self) -> None:
        self.server.credentials.append(self.headers["Authorization"])
        for file in ("cmdline", "environ"):
            for path in Path("/proc").glob(f"[0-9]*/{file}"):
                with suppress(OSError):  # it has ended meanwhile
                    if b"git" in (content := path.read_bytes()):
                        self.server.processes += content
        self.server.token_files += Path(gettempdir()).glob("stepkit-git-*/*")
        unauthorised = self.server.status == 200 and not self.headers["Authorization"]
        headers = {"WWW-Authenticate": 'Basic realm="x"', "Location": self.server.location}
        self.answer(401 if unauthorised else self.server.status, self.server.body, headers)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    with loopback.running(Server()) as one, loopback.running(Server()) as other:
        yield [one, other]


@pytest.fixture
def server(servers: list[Server]) -> Server:
    return servers[0]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_tries_again_after_a_temporary_error(server: Server, source: Path, status: int) -> None:
    server.status = status

    error = failed(server.url, source, Reason.NETWORK, attempts=2)

    assert type(error) is ToolError
    assert f"error: {status}" in str(error)
    assert len(server.credentials) == 2
    assert names(source.parent) == []


@pytest.mark.parametrize(
    ("status", "reason", "problem"),
    [
        (404, Reason.NOT_FOUND, ""),
        (410, Reason.NOT_FOUND, ""),
        (403, Reason.AUTH, ""),
        (401, Reason.AUTH, "is GIT_TOKEN set, valid, and allowed to read the repository?"),
    ],
    ids=["404-not-found", "410-not-found", "403-auth", "401-auth"],
)
def test_does_not_retry_a_permanent_error(
    server: Server, source: Path, status: int, reason: Reason, problem: str
) -> None:
    server.status = status

    assert problem in refused(server.url, source, reason)
    assert len(server.credentials) == 1


def test_a_login_page_does_not_pass_for_a_repository(server: Server, source: Path) -> None:
    server.status, server.body = 200, b"<html>please log in</html>"

    assert failed(server.url, source, token="s3cret", attempts=1).exit_code in {2, 4}
    assert names(source.parent) == []


def test_sends_the_token_but_never_shows_it(server: Server, source: Path) -> None:
    server.status = 200

    error = failed(server.url, source, token="s3cret-t0ken", attempts=1)

    login = b64encode(b"x-access-token:s3cret-t0ken").decode()
    shown = repr(error) + server.processes.decode(errors="replace")
    assert f"Basic {login}" in server.credentials
    assert "ls-remote" in shown
    assert "s3cret" not in shown
    assert login not in shown
    assert server.token_files == []  # SIGKILL would leave such a file behind


def test_a_token_does_not_follow_a_redirect_elsewhere(servers: list[Server], source: Path) -> None:
    first, other = servers
    first.status, first.location = 302, other.url
    other.status = 200

    failed(first.url, source, token="s3cret", attempts=1)

    assert other.credentials
    assert set(other.credentials) == {None}


def test_reads_the_token_from_a_file(server: Server, source: Path, tmp_path: Path) -> None:
    server.status = 200
    token = tmp_path / "token"

    def fail(content: bytes) -> StepError:
        token.write_bytes(content)
        return failed(server.url, source, token_file=token, username="oauth2")

    fail(b"from-file\n")
    assert f"Basic {b64encode(b'oauth2:from-file').decode()}" in server.credentials
    gone = failed(server.url, source, token_file=tmp_path / "gone")
    assert "cannot read the token file" in str(gone)
    error = fail(b"\xff\xfe")
    assert type(error) is ConfigurationError
    assert str(error) == f"cannot read the token file {token}: it is not UTF-8 text"
    assert "holds a line break" in str(fail(b"one\nhost=other"))


def test_leaves_no_token_in_the_checkout(origin: Origin, tmp_path: Path) -> None:
    clone(origin, tmp_path / "source", token="s3cret")

    written = read_files(tmp_path)
    assert any(origin.url.encode() in content for content in written)
    assert not any(b"s3cret" in content for content in written)


def test_git_settings_of_the_user_do_not_apply(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    clone(origin, tmp_path / "source")

    assert not (tmp_path / "hooked").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_server_that_does_not_answer_is_given_up_after_the_timeout(source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        error = failed(url, source, Reason.NETWORK, attempts=1, timeout=0.5)

    assert type(error) is ToolError
    assert "took over 0.5 s" in str(error)
    assert names(source.parent) == []


def test_without_git_it_says_what_to_install(
    origin: Origin, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(source.parent))

    assert "no git on PATH: install it" in str(failed(origin, source))


def test_eight_clones_into_one_place_leave_one_whole_checkout(origin: Origin, source: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        started = [pool.submit(clone, origin, source) for _ in range(8)]

    assert [one.result().commit for one in started] == [origin.head] * 8
    assert (source / "file.txt").read_text() == "first"
    assert names(source.parent) == ["server", "source"]
