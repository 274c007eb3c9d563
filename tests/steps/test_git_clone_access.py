"""Access to a server: logins of a mounted Secret, certificates, proxies, ssh."""

import logging
import os
import shutil
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import loopback
import pytest
from certificates import make_certificate
from clones import clone, failed, read_files, refused
from git_server import GitServer, serving
from samples import Origin
from ssh_server import SshServer, make_key, skip_without_account

from stepkit.cli import main as cli
from stepkit.errors import Reason, ToolError
from stepkit.git import ssh as git_ssh

TOKEN = "s3cret:t0ken/%"
LOGIN = "Basic " + b64encode(f"me:{TOKEN}".encode()).decode()
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def private(origin: Origin) -> Iterator[GitServer]:
    with serving(GitServer(origin.path.parent, login=LOGIN)) as server:
        yield server


def directory_of(directory: Path, **files: str) -> Path:
    """Write a mounted Secret with files of these names."""
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


def stored(directory: Path, *lines: str) -> Path:
    files = {
        ".git-credentials": "".join(f"{line}\n" for line in lines),
        ".gitconfig": "[core]\n\tfsmonitor = touch pwned\n",
    }
    return directory_of(directory, **files)


def kubernetes(directory: Path) -> Path:
    """Write a Secret as the kubelet mounts it: names are links to links."""
    data = directory / "..2026_01_01"
    data.mkdir(parents=True)
    (directory / "..data").symlink_to(data.name)
    for name, text in (("username", "me\n"), ("password", f"{TOKEN}\n")):
        (data / name).write_text(text)
        (directory / name).symlink_to(f"..data/{name}")
    return directory


def stored_login(server: GitServer) -> str:
    """Return the line of .git-credentials for a server."""
    return f"http://me:s3cret%3At0ken%2F%25@127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("kind", ["stored", "kubernetes"])
def test_takes_a_login_from_a_mounted_secret(
    private: GitServer, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    monkeypatch.setenv("HOME", str(home))
    lines = (
        "https://you:other@git.example.org",
        stored_login(private),
        f"http://me:later@127.0.0.1:{private.server_port}",  # the first line for a host counts
    )
    place = tmp_path / "login"
    directory = stored(place, *lines) if kind == "stored" else kubernetes(place)

    clone(f"{private.url}/origin/.git", tmp_path / "work/source", basic_auth=directory, token="no")

    assert (tmp_path / "work/source/file.txt").read_text() == "first"
    assert not any(b"t0ken" in content for content in read_files(tmp_path / "work"))
    assert list(home.iterdir()) == []
    assert {login for _, login in private.asked} == {None, LOGIN}


@pytest.mark.slow
def test_a_login_goes_only_to_its_host(private: GitServer, origin: Origin, tmp_path: Path) -> None:
    with serving(GitServer(origin.path.parent, login=LOGIN)) as other:
        commit = Origin(origin.path.parent / "inner").commit("inner")
        (origin.path / ".gitmodules").write_text(
            f'[submodule "inner"]\n\tpath = inner\n\turl = {other.url}/inner/.git\n'
        )
        origin.git("add", ".gitmodules")
        origin.git("update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
        origin.git("commit", "-m", "inner")
        url = f"{private.url}/origin/.git"

        one = stored(tmp_path / "one", stored_login(private))
        error = failed(url, tmp_path / "source", basic_auth=one, submodules=True)
        asked = {login for _, login in other.asked}
        both = stored(tmp_path / "two", stored_login(private), stored_login(other))
        clone(url, tmp_path / "source", basic_auth=both, submodules=True)

    assert error.reason == Reason.AUTH
    assert asked == {None}
    assert (tmp_path / "source/inner/file.txt").read_text() == "inner"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("https://git.example.org", "line 1: write https://USER:TOKEN@HOST"),
        ("https://me:s3cret@[x", "line 1: write https://USER:TOKEN@HOST"),
        ("https://me:s3cret%0A@git.example.org", "holds a line break or control character"),
        ("\xff", "is not UTF-8 text"),
    ],
)
def test_the_error_for_a_broken_git_credentials_file_does_not_show_its_secrets(
    tmp_path: Path, line: str, said: str
) -> None:
    directory = stored(tmp_path / "login")
    (directory / ".git-credentials").write_bytes(line.encode("latin-1"))

    message = refused("https://127.0.0.1:1/x", tmp_path / "source", basic_auth=directory)

    assert said in message
    assert "s3cret" not in message


class Quoting(loopback.Handler):
    """A git server that asks for a login, and quotes it in its error."""

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        if header is None:
            self.answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            return
        login = b64decode(header.split()[1]).decode()
        said = f"ERR {login} ({quote(login, safe='')}, {header}) has expired\n".encode()
        body = b"001e# service=git-upload-pack\n0000%04x%s" % (len(said) + 4, said)
        self.answer(200, body, {"Content-Type": "application/x-git-upload-pack-advertisement"})


@pytest.mark.parametrize("kind", ["variable", "token file", "stored", "kubernetes"])
def test_a_token_that_the_server_quotes_is_masked_wherever_it_came_from(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), Quoting)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        line = url.replace("//", f"//me:{quote(TOKEN, safe='')}@")
        if kind == "variable":
            monkeypatch.setenv("GIT_TOKEN", f"{TOKEN}\n")
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        flags = {
            "variable": (),
            "token file": ("--token-file", tmp_path / "token"),
            "stored": ("--basic-auth", stored(tmp_path / "stored", line)),
            "kubernetes": ("--basic-auth", kubernetes(tmp_path / "kubernetes")),
        }[kind]
        files = ("--report", tmp_path / "report", "--result", f"message={tmp_path / 'message'}")
        args = ("--url", f"{url}/r", "--destination", tmp_path / "source", "--attempts", 1)

        code = cli.main(["git-clone", *map(str, (*args, *flags, *files))])

    printed = capfd.readouterr()
    shown = [*printed, (tmp_path / "report").read_text(), (tmp_path / "message").read_text()]
    assert code == 2
    assert all("*** (***, Basic ***) has expired" in text for text in shown[1:])
    encoded = (b64encode(f"{user}:{TOKEN}".encode()).decode() for user in ("me", "x-access-token"))
    for form in (TOKEN, quote(TOKEN, safe=""), *encoded):
        assert not any(form in text for text in shown)


def test_a_token_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    message = refused("https://127.0.0.1:1/x", tmp_path / "source", token="s3cret\udcff")

    assert message == "the token or user name holds bytes that are not UTF-8 text"


def test_a_token_file_may_be_a_pipe(private: GitServer, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, f"{TOKEN}\n".encode())
    os.close(writing)
    url, pipe = f"{private.url}/origin/.git", Path(f"/dev/fd/{reading}")

    clone(url, tmp_path / "source", username="me", token_file=pipe)

    os.close(reading)
    assert (tmp_path / "source/file.txt").read_text() == "first"


def test_a_pipe_that_no_process_writes_to_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    message = refused("https://127.0.0.1:1/x", tmp_path / "source", token_file=pipe, timeout=0.1)

    assert message == (
        f"cannot read the token file {pipe}: nothing came within 0.1 s: is it a pipe?"
    )
    assert not (tmp_path / "source").exists()


def test_a_directory_without_a_login_is_an_error(tmp_path: Path) -> None:
    empty = directory_of(tmp_path / "login")

    error = failed("https://127.0.0.1:1/x", tmp_path / "source", Reason.AUTH, basic_auth=empty)

    assert "holds neither .git-credentials nor username and password" in str(error)


def test_logins_for_other_hosts_or_without_tls_cause_a_warning(
    origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = stored(tmp_path / "login", "http://me:x@git.example.org", "https://me:x@other.org")

    clone(origin, tmp_path / "source", basic_auth=directory)

    assert "line 1: not used: a token must not travel unencrypted" in caplog.text
    assert "holds nothing for file:// (only for https://other.org)" in caplog.text


@pytest.fixture
def encrypted(origin: Origin, tmp_path: Path) -> Iterator[GitServer]:
    certificate = make_certificate(tmp_path / "ca-bundle.crt")
    with serving(GitServer(origin.path.parent), certificate) as server:
        yield server


@pytest.mark.slow
def test_trusts_the_certificates_that_are_given(encrypted: GitServer, tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{encrypted.server_port}/origin/.git"

    message = refused(url, tmp_path / "source")
    clone(url, tmp_path / "a", ca_directory=tmp_path, ca_file="ca-bundle.crt")
    clone(url, tmp_path / "b", ca_file=str(tmp_path / "ca-bundle.crt"))

    assert "is the server's CA in --ca-file or --ca-directory" in message
    assert (tmp_path / "a/file.txt").exists()
    assert (tmp_path / "b/file.txt").exists()


def test_ssl_verify_false_accepts_any_certificate(
    encrypted: GitServer, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"https://127.0.0.1:{encrypted.server_port}/origin/.git"
    clone(url, source, ssl_verify=False)

    assert "anybody on the way can change what is cloned" in caplog.text


def test_a_missing_certificate_file_is_an_error(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").touch()

    error = failed(origin, tmp_path / "source", ca_directory=tmp_path, ca_file="gone.crt")

    assert str(error) == f"there is no file {tmp_path}/gone.crt (beside it: ca.crt)"
    assert error.reason == Reason.NOT_FOUND
    # The Task passes a name even if its workspace does not have the file.
    assert clone(origin, tmp_path / "source", ca_file="ca-bundle.crt").commit


def test_uses_the_proxy_of_the_options(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    login = "Basic " + b64encode(b"me:pa55").decode()
    with (
        serving(GitServer(origin.path.parent)) as server,
        serving(GitServer(origin.path.parent, login=login, proxy=True)) as proxy,
    ):
        url = f"{server.url}/origin/.git"
        with_login = proxy.url.replace("//", "//me:pa55@")
        clone(url, tmp_path / "a", http_proxy=with_login, verbose=True)
        by_proxy = list(proxy.asked)
        error = failed(url, tmp_path / "b", http_proxy=proxy.url.replace("//", "//me:wr0ng@"))
        clone(url, tmp_path / "c", http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.1")

    assert (url + "/info/refs?service=git-upload-pack", login) in by_proxy
    assert "pa55" not in caplog.text
    assert "pa55" not in (tmp_path / "a/.git/config").read_text()
    assert "wr0ng" not in str(error)
    assert "407" in str(error)
    assert "check the proxy's address and its login" in str(error)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    server = SshServer(tmp_path / "sshd")
    yield server
    server.stop()


def test_clones_by_ssh_with_the_key_of_a_mounted_secret(
    sshd: SshServer, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = directory_of(tmp_path / "scratch")
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    (sshd.keys / "known_hosts").write_text(sshd.known)
    key = sshd.keys / "ssh-privatekey"
    # Line ends as after copy and paste.
    key.write_text(key.read_text().rstrip().replace("\n", "\r\n"))
    key.chmod(0o644)

    clone(sshd.url(origin), tmp_path / "work/source", ssh_directory=sshd.keys)

    assert (tmp_path / "work/source/file.txt").read_text() == "first"
    assert list(scratch.iterdir()) == []
    assert not any(b"PRIVATE KEY" in content for content in read_files(tmp_path / "work"))


@pytest.mark.slow
def test_an_unknown_server_is_trusted_only_with_accept_new(
    sshd: SshServer, origin: Origin, tmp_path: Path
) -> None:
    url, keys = sshd.url(origin), sshd.keys

    message = refused(url, tmp_path / "source", Reason.AUTH, ssh_directory=keys)

    assert "Host key verification failed" in message
    assert "--host-key-policy accept-new" in message
    clone(url, tmp_path / "source", ssh_directory=keys, host_key_policy="accept-new")
    wrong = " ".join([*sshd.known.split()[:2], "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43])
    (keys / "known_hosts").write_text(wrong)
    error = failed(url, tmp_path / "b", ssh_directory=keys, host_key_policy="accept-new")
    assert error.reason == Reason.AUTH


@pytest.mark.slow
def test_a_refused_key_is_an_error(sshd: SshServer, origin: Origin, source: Path) -> None:
    (sshd.keys / "known_hosts").write_text(sshd.known)
    key = sshd.keys / "ssh-privatekey"
    key.unlink()
    make_key(key)

    error = failed(sshd.url(origin), source, Reason.AUTH, ssh_directory=sshd.keys)

    assert "does the server know the key in --ssh-directory" in str(error)


def test_an_ssh_server_that_does_not_answer_is_a_tool_error(tmp_path: Path) -> None:
    keys = directory_of(tmp_path / "keys", id=KEY)
    if not shutil.which("ssh"):
        pytest.skip("ssh is not installed")
    skip_without_account()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    url = f"ssh://git@127.0.0.1:{port}/x"
    error = failed(url, tmp_path / "source", Reason.NETWORK, ssh_directory=keys, attempts=1)

    assert type(error) is ToolError
    assert "Connection refused" in str(error)


def test_a_directory_without_a_key_is_an_error(tmp_path: Path, source: Path) -> None:
    keys = directory_of(tmp_path / "keys", known_hosts="")

    error = failed("git@host.org:you/x.git", source, ssh_directory=keys)

    assert f"{keys} does not hold a private ssh key (it holds known_hosts)" in str(error)
    (keys / "id").write_text(KEY)
    error = failed("ssh://me:pa55@host.org/x", source, ssh_directory=keys)
    assert str(error) == "the URL ssh://host.org/x holds a password: ssh takes a key instead"


def test_paths_in_a_config_of_ssh_lead_to_the_copies(tmp_path: Path) -> None:
    config = "Host x\n  IdentityFile ~/.ssh/id\n"
    keys = directory_of(tmp_path / "keys", id=KEY, config=config)
    (keys / "loop").symlink_to("loop")

    with git_ssh.command(keys, "yes") as command:
        place = Path(command.split()[2]).parent
        assert (place / "config").read_text() == f"Host x\n  IdentityFile {place}/id\n"
        assert place.stat().st_mode & 0o777 == 0o700
        assert (place / "id").stat().st_mode & 0o777 == 0o600

    assert not place.exists()
