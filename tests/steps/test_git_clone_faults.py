"""Servers that answer git or Git LFS wrongly, and repositories that git refuses."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import commands
import loopback
import pytest
from clones import clone, failed
from git_server import GitServer, serving
from samples import Origin, names

from stepkit.errors import ConfigurationError, Reason, ToolError

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
PAGE = {"Content-Type": "text/html; charset=utf-8"}


class FaultyServer(ThreadingHTTPServer):
    """Answers each request as the first part of its path says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(loopback.Handler):
    server: FaultyServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        fault = self.path.split("/")[1]
        faults: dict[str, Callable[[], None]] = {
            "page": lambda: self.answer(200, b"<!doctype html>login", PAGE),
            "page-of-lines": lambda: self.answer(200, b"<html>\n<p>login\n</html>\n", PAGE),
            "page-elsewhere": lambda: self.answer(302, b"", {"Location": "/page/login?back=x"}),
            "closed": self.connection.close,
            "limited": lambda: self.answer(429, b"", {"Retry-After": "0"}),
            "damaged": self.send_object,
            "without-object": self.send_object,
        }
        faults[fault]()

    def do_POST(self) -> None:
        self.do_GET()

    def send_object(self) -> None:
        """Be a server of Git LFS: say where the object is, then send another one or none."""
        if self.command == "GET":
            wrong = self.path.startswith("/damaged")
            return self.answer(200, b"12345") if wrong else self.answer(404)
        actions = {"download": {"href": f"{self.server.url}{self.path}/object"}}
        objects = [{"oid": "a" * 64, "size": 5, "actions": actions}]
        body = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return self.answer(200, body, {"Content-Type": "application/vnd.git-lfs+json"})


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    with loopback.running(FaultyServer()) as server:
        yield server


@pytest.mark.parametrize("revision", ["HEAD", "a" * 40])
@pytest.mark.parametrize("fault", ["page", "page-of-lines", "page-elsewhere"])
def test_a_login_page_is_not_taken_for_an_empty_repository(
    faulty: FaultyServer, source: Path, fault: str, revision: str
) -> None:
    error = failed(f"{faulty.url}/{fault}/r.git", source, attempts=1, revision=revision)

    assert type(error) is ToolError
    assert error.reason == Reason.NETWORK
    assert "the server sent a web page instead of a repository: is it the login page" in str(error)
    assert not source.exists()


@pytest.fixture
def kept_in_lfs(origin: Origin) -> Origin:
    if not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    (origin.path / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    origin.git("config", "filter.lfs.clean", "cat")
    origin.commit(POINTER, "data/a.bin")
    return origin


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason", "cause"),
    [
        ("limited", Reason.NETWORK, "batch response: LFS: Error"),
        ("closed", Reason.NETWORK, '/objects/batch": EOF'),
        ("page", Reason.NETWORK, 'Expected JSON type, got: "text/html'),
        ("damaged", Reason.CHECKSUM, f"expected OID {'a' * 64}, got 5994471abb"),
        ("without-object", Reason.NOT_FOUND, "Repository or object not found: "),
    ],
)
def test_what_a_server_of_git_lfs_does_wrong_is_named(
    faulty: FaultyServer, kept_in_lfs: Origin, source: Path, fault: str, reason: Reason, cause: str
) -> None:
    kept_in_lfs.commit(f"[lfs]\n\turl = {faulty.url}/{fault}\n", ".lfsconfig")

    error = failed(kept_in_lfs, source, attempts=1)

    assert error.reason == reason
    assert error.exit_code == (2 if reason is Reason.NOT_FOUND else 4)
    assert "Git LFS cannot get data/a.bin: " in str(error)
    assert cause in str(error)
    assert error.evidence
    assert any(line.startswith("Error downloading object") for line in error.evidence.output)
    assert not source.exists()


@pytest.mark.parametrize(("asked", "waits"), [("7", "7"), ("9999", "300"), ("soon", "[01]")])
def test_waits_as_long_as_a_busy_server_asks_for(
    origin: Origin,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: str,
    waits: str,
) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))
    with serving(GitServer(origin.path.parent)) as server:
        server.busy = [asked]
        clone(f"{server.url}/origin/.git", source)

    [text] = [text for text in caplog.messages if "attempt 1 failed" in text]
    assert re.search(f"returned error: 429; again in {waits} s$", text)
    assert (source / "file.txt").read_text() == "first"


def test_an_object_that_git_refuses_is_named_with_the_check_that_failed(
    origin: Origin, source: Path
) -> None:
    blob = origin.git("hash-object", "-w", "file.txt")
    inner = origin.git("mktree", "--missing", input=f"100644 blob {blob}\tconfig\n")
    tree = origin.git("mktree", "--missing", input=f"040000 tree {inner}\t.GIT\n")
    commit = origin.git("commit-tree", "-m", "hostile", tree)
    origin.git("update-ref", "refs/heads/hostile", commit)

    error = failed(origin, source, revision="hostile")

    assert type(error) is ConfigurationError
    assert f"object {tree}: hasDotgit: contains '.git'" in str(error)
    assert names(source.parent, locks=False) == ["server"]


def test_a_disk_that_takes_no_further_file_is_named(origin: Origin, tmp_path: Path) -> None:
    for number in range(50):
        (origin.path / f"file-{number}").touch()
    origin.commit("many", "many.txt")
    disk = tmp_path / "disk"
    disk.mkdir()
    with commands.mounted(disk, "-t", "tmpfs", "-o", "size=50m,nr_inodes=70", "tmpfs"):
        error = failed(origin, disk / "source", attempts=1)
        left = names(disk, locks=False)

    assert type(error) is ToolError
    assert error.reason == Reason.DISK_FULL
    assert "free inodes beside" in str(error)
    assert left == []
