"""Rows G1 to G46, G69 and G70: what goes wrong with git and its servers."""

import os
import shutil
import socket
import struct
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import pytest
from certificates import make_certificate
from faults.harness import SECRET, Fault, row
from git_server import GitServer, Refuse, Send, serving
from loopback import Handler
from samples import Origin

LOGIN = "Basic " + b64encode(f"x-access-token:{SECRET}".encode()).decode()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
PACK = "application/x-git-upload-pack-result"


def is_checkout(place: Path) -> bool:
    """Whether a checkout is complete and unchanged."""
    git = ("git", "-c", "safe.directory=*", "-C", place)
    status = commands.run(*git, "status", "--porcelain", "--ignored")
    fsck = commands.run(*git, "fsck", "--connectivity-only", "--no-progress")
    return (status.returncode, status.stdout, fsck.returncode) == (0, "", 0)


def clone(fault: Fault, url: str, *args: str | Path, **more: Any) -> str:
    """Clone to ``source`` with one attempt, judge the outcome, and return the commit or ""."""
    place = fault.place("source", is_checkout)
    if "--attempts" not in args:
        args = (*args, "--attempts", "1")
    ended = fault.run("--url", url, "--destination", place, *args, **more)
    return str((ended.report["outputs"] or {}).get("commit", ""))


@pytest.fixture
def big(origin: Origin) -> Origin:
    """Return a repository whose pack is longer than what git reads at once."""
    (origin.path / "big.bin").write_bytes(os.urandom(400_000))
    origin.commit("big")
    return origin


@pytest.fixture
def server(big: Origin) -> Iterator[GitServer]:
    with serving(GitServer(big.path.parent)) as server:
        yield server


@pytest.fixture
def other(origin: Origin) -> Iterator[GitServer]:
    with serving(GitServer(origin.path.parent)) as server:
        yield server


def repository(server: GitServer, name: str = "origin") -> str:
    return f"{server.url}/{name}/.git"


@row("G1")
def test_a_revision_of_each_kind(fault: Fault, origin: Origin) -> None:
    origin.git("tag", "-a", "-m", "of the tests", "annotated")
    origin.git("tag", "plain")
    origin.git("branch", "feature/x")
    revision = {
        "HEAD": "HEAD",
        "branch": "main",
        "tag": "plain",
        "annotated-tag": "annotated",
        "commit": origin.head,
        "branch-with-slash": "feature/x",
        "full-ref": "refs/tags/plain",
    }[fault.case]

    assert clone(fault, origin.url, "--revision", revision) == origin.head


@row("G2", "G3")
def test_a_login_that_is_missing_or_wrong(fault: Fault, server: GitServer) -> None:
    server.login = "Basic another"

    clone(fault, repository(server), env={"GIT_TOKEN": SECRET if fault.number == "G3" else None})


def refusing(status: int, part: str = "", **headers: str) -> Refuse:
    """Answer requests whose path has ``part`` with a status."""

    def refuse(handler: Handler) -> bool:
        if part not in handler.path:
            return False
        handler.answer(status, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return True

    return refuse


@row("G4", "G5", "G6", "G7", "G10", "G11")
def test_a_status_that_is_an_error(fault: Fault, server: GitServer) -> None:
    statuses = {"G4": 403, "G5": 404, "G7": 408}
    status = statuses.get(fault.number) or int(fault.case)
    server.refuse = refusing(
        status, {"G10": "/info/refs", "G11": "/git-upload-pack"}.get(fault.number, "")
    )

    clone(fault, repository(server))


@row("G8", "G9")
def test_a_server_that_is_busy(fault: Fault, server: GitServer) -> None:
    asked = {
        "once": "1",
        "for-ever": "1",
        "date": "Mon, 01 Jan 2024 00:00:00 GMT",
        "garbage": "soon",
        "none": "",
        "over-the-cap": "99999",
    }[fault.case]
    for_ever = 4 in fault.expected.exits
    server.busy = [asked] * (9 if for_ever else 1)

    clone(fault, repository(server), "--attempts", "1" if for_ever else "3")


def reset(handler: Handler) -> bool:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return close(handler)


def close(handler: Handler) -> bool:
    """Close the connection without an answer: as if one was given."""
    handler.close_connection = True
    handler.rfile.close()
    handler.wfile.close()
    handler.connection.close()
    return True


def wait(_: Handler) -> bool:
    time.sleep(20)
    return True


def page(handler: Handler) -> bool:
    handler.answer(200, b"<html>log in</html>", {"Content-Type": "text/html"})
    return True


def circle(handler: Handler) -> bool:
    handler.answer(302, headers={"Location": handler.path})
    return True


@row("G12", "G13", "G14", "G22", "G26")
def test_an_answer_that_is_none(fault: Fault, server: GitServer) -> None:
    faults = {"G12": reset, "G13": close, "G14": wait, "G22": page, "G26": circle}
    server.refuse = faults[fault.number]

    clone(fault, repository(server), "--timeout", "4s")


def send_pack(kind: str) -> Send:
    """Send answers as they are, and packs in a faulty way."""

    def send(handler: Handler, status: int, body: bytes, headers: dict[str, str]) -> None:
        if headers.get("Content-Type") != PACK or len(body) < 100_000:
            return handler.answer(status, body, headers)
        half = body[: len(body) // 2]
        if kind == "G19":  # a proxy cut it
            return handler.answer(status, half, headers)
        if kind == "G20":
            flipped = bytes([body[len(half)] ^ 1])
            return handler.answer(status, half + flipped + body[len(half) + 1 :], headers)
        chunked = kind == "G17"
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: {PACK}\r\n{length}\r\n\r\n".encode())
        if kind == "G16":
            for begin in range(0, len(body), 64):
                handler.wfile.write(body[begin : begin + 64])
                time.sleep(0.2)
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(half), half) if chunked else half)
        if kind == "G15":
            wait(handler)
        if kind == "G21":
            reset(handler)
        return None

    return send


@row("G15", "G16", "G17", "G18", "G19", "G20", "G21")
def test_a_pack_that_does_not_arrive_whole(fault: Fault, server: GitServer) -> None:
    server.send = send_pack(fault.number)

    clone(fault, repository(server), "--timeout", "4s")


def moved_to(where: str, *, after_login: bool) -> Refuse:
    """Redirect from ``/moved`` to another URL, before or after the server asks for a login."""

    def refuse(handler: Handler) -> bool:
        known = "Authorization" in handler.headers
        if not handler.path.startswith("/moved/") or (after_login and not known):
            return False
        handler.answer(302, headers={"Location": where + handler.path.removeprefix("/moved")})
        return True

    return refuse


@row("G23", "G24", "G25")
def test_a_redirect_takes_no_token_to_another_server(
    fault: Fault, server: GitServer, other: GitServer
) -> None:
    after = fault.case == "after-login"
    server.login = LOGIN
    server.refuse = moved_to("" if fault.number == "G23" else other.url, after_login=after)
    other.login = LOGIN if fault.number == "G25" else ""

    clone(fault, f"{server.url}/moved/origin/.git", env={"GIT_TOKEN": SECRET})

    assert {login for _, login in other.asked} <= {None}


@row("G27", "G28")
def test_a_server_that_is_not_there(fault: Fault) -> None:
    clone(fault, {"G27": "http://127.0.0.1:1/x", "G28": "https://host.invalid/x"}[fault.number])


@row("G29", "G30", "G31", "G33")
def test_a_certificate_that_is_not_trusted(fault: Fault, origin: Origin) -> None:
    elsewhere = ("-subj", "/CN=git.example.org", "-addext", "subjectAltName=DNS:git.example.org")
    certificate = fault.private / "certificate.pem"
    server = make_certificate(certificate, *(elsewhere if fault.number == "G30" else ()))
    if fault.number == "G31":
        expired = ("openssl", "x509", "-in", certificate, "-days", "-1", "-out", server)
        key = certificate.with_suffix(".key")
        assert commands.run(*expired, "-signkey", key).returncode == 0
        shutil.copy(server, certificate)
        server.write_text(server.read_text() + key.read_text())
    (fault.private / "garbage").write_text("no certificate\n")
    trusted = {"missing": fault.private / "missing", "garbage": fault.private / "garbage"}
    given = trusted.get(fault.case, certificate)

    with serving(GitServer(origin.path.parent), server) as encrypted:
        url = f"https://127.0.0.1:{encrypted.server_port}/origin/.git"
        clone(fault, url, *(() if fault.number == "G29" else ("--ca-file", given)))


@row("G32")
def test_a_port_without_tls(fault: Fault, server: GitServer) -> None:
    clone(fault, repository(server).replace("http:", "https:"))


@row("G34", "G35")
def test_a_proxy_that_does_not_work(fault: Fault, server: GitServer, origin: Origin) -> None:
    with serving(GitServer(origin.path.parent, login=LOGIN, proxy=True)) as asking:
        proxy = {
            "": "http://127.0.0.1:1",
            "no-address": "http://proxy.invalid:3128",
            "login": asking.url,
        }[fault.case]
        clone(fault, repository(server), "--http-proxy", proxy, "--no-proxy", "example.org")


@row("G36", "G37", "G38")
def test_a_revision_that_is_not_there(fault: Fault, server: GitServer, big: Origin) -> None:
    revisions = {"G36": "no-such-branch", "G37": "1" * 40, "G38": big.head[:8]}

    clone(fault, repository(server), "--revision", revisions[fault.number])


@row("G39")
def test_a_name_of_a_branch_and_of_a_tag(fault: Fault, origin: Origin) -> None:
    origin.git("tag", "same")
    origin.git("checkout", "-q", "-b", "same")
    origin.commit("second")

    clone(fault, origin.url, "--revision", "same")


@row("G69")
def test_a_repository_of_sha256(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    origin = Origin(tmp_path / "sha256")
    commit = origin.commit("first")
    monkeypatch.delenv("GIT_DEFAULT_HASH")
    flags = {"commit": ("--revision", commit), "other-files-stay": ("--delete-existing", "false")}
    if fault.case == "other-files-stay":
        clone(fault, origin.url)
        commit = origin.commit("second")

    assert clone(fault, origin.url, *flags.get(fault.case, ())) == commit


@row("G70")
def test_a_server_with_a_shallow_clone(fault: Fault, origin: Origin, tmp_path: Path) -> None:
    older, head = origin.head, origin.commit("second")
    shallow = tmp_path / "shallow"
    origin.git("clone", "--quiet", "--depth=1", origin.url, str(shallow))
    flags = {"whole": ("--depth", "0"), "older-commit": ("--revision", older)}

    assert clone(fault, shallow.as_uri(), *flags.get(fault.case, ())) in {head, ""}


@row("G40")
def test_a_branch_that_moves_meanwhile(fault: Fault, server: GitServer, big: Origin) -> None:
    listed = big.head

    def move(_: Handler) -> bool:
        if big.head == listed and len(server.asked) > 2:  # the refs were listed
            big.commit("moved")
        return False

    server.refuse = move

    assert clone(fault, repository(server), "--revision", "main") == listed
    assert big.head != listed


@row("G41")
def test_a_revision_that_is_none(fault: Fault, origin: Origin) -> None:
    revision = {
        "upload-pack": "--upload-pack=touch pwned",
        "dash-x": "-x",
        "range": "main..main",
        "newline": "main\nmain",
        "parent": "HEAD^",
        "reflog": "@{-1}",
        "up": "refs/heads/../main",
        "path": "main:file.txt",
        "star": "*",
        "blank": " ",
    }[fault.case]

    clone(fault, origin.url, f"--revision={revision}")

    assert not (fault.directory / "pwned").exists()


@row("G42")
def test_a_url_that_is_none(fault: Fault, tmp_path: Path) -> None:
    url = {
        "ext": "ext::sh -c touch% pwned",
        "path": "/etc",
        "unknown-scheme": "foo://127.0.0.1/x",
        "userinfo": f"https://me:{SECRET.replace('%', '%25').replace('/', '%2F')}@127.0.0.1/x",
        "encoded-newline": "http://127.0.0.1/%0ax",
        "variable": "$HOME",
        "port": "http://127.0.0.1:99999/x",
        "bracket": "http://[::1",
        "option": "--upload-pack=touch pwned",
        "no-host": "https:///x",
        "git-daemon": "git://127.0.0.1/x",
        "missing-directory": (tmp_path / "missing").as_uri(),
    }[fault.case]
    place = fault.place("source", is_checkout)

    fault.run(f"--url={url}", "--destination", place, "--attempts", "1")

    assert not (fault.directory / "pwned").exists()


@row("G43")
def test_a_repository_without_commits(fault: Fault, origin: Origin) -> None:
    clone(fault, Origin(origin.path.parent / "empty").url)


@row("G44")
def test_files_that_git_lfs_keeps(fault: Fault, origin: Origin) -> None:
    (origin.path / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    origin.git("config", "filter.lfs.clean", "cat")
    origin.commit(POINTER, "data/a.bin")
    programs = fault.private / "programs"
    programs.mkdir()
    if fault.case == "no-git-lfs":
        (programs / "git").symlink_to(str(shutil.which("git")))
        (programs / "sh").symlink_to("/bin/sh")
        clone(fault, origin.url, env={"PATH": str(programs)})
    else:
        fault.needs("git-lfs")
        clone(fault, origin.url, "--lfs", "false" if fault.expected.exits == (0,) else "true")


@row("G45")
def test_a_submodule_that_must_not_be_fetched(
    fault: Fault, server: GitServer, other: GitServer, big: Origin
) -> None:
    inner = Origin(big.path.parent / "inner")
    commit = inner.commit("inner")
    server.login = other.login = LOGIN
    url = inner.url if fault.case == "local-path" else repository(other, "inner")
    (big.path / ".gitmodules").write_text(f'[submodule "inner"]\n\tpath = inner\n\turl = {url}\n')
    big.git("add", ".gitmodules")
    big.git("update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
    big.git("commit", "-m", "inner")

    clone(fault, repository(server), "--submodules", env={"GIT_TOKEN": SECRET})

    assert {login for _, login in other.asked} <= {None}


@row("G46")
def test_a_checkout_without_what_is_needed(fault: Fault, origin: Origin) -> None:
    (origin.path / "outside").symlink_to("/etc")
    origin.commit("link")
    flags = {
        "directory": ("--sparse-checkout-directories", "no-such-directory"),
        "link": ("--outside-links", "refuse"),
    }

    clone(fault, origin.url, *flags[fault.case])
