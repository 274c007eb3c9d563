"""Git: GitPython reads checkouts; what talks to a server runs the git program itself.

GitPython cannot give a network call a deadline or end its helper processes, so those calls go
through :mod:`stepkit.tools.process`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROTOCOLS: Final = ("https", "http", "file")
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_SHOWN_BRANCHES: Final = 8
_FULL_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")

# The section of .git/config that marks a checkout as ours, so that a later run may replace it.
MARK: Final = "stepkit"

# What git says, in the order in which it is looked for; anything unknown counts as permanent,
# because trying again in vain only hides the cause. Each line was seen with git 2.39.
_AUTH: Final = re.compile(
    r"could not read (Username|Password)|terminal prompts disabled|Authentication failed for"
    r"|returned error: (401|403)\b",
    re.IGNORECASE,
)
_MISSING: Final = re.compile(
    r"returned error: (404|410)\b|repository '.*' not found|does not exist"
    r"|does not appear to be a git repository|not our ref|couldn't find remote ref",
    re.IGNORECASE,
)
_LOCAL: Final = re.compile(
    r"No space left|unable to write file|Disk quota exceeded|Cannot allocate memory", re.IGNORECASE
)
_TRANSIENT: Final = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Failed to connect"
    r"|Couldn't connect|Connection (refused|reset|timed out|closed)|Network is unreachable"
    r"|No route to host|Empty reply|returned error: (408|425|429|5\d\d)\b"
    r"|HTTP (408|425|429|5\d\d) curl 22|Operation (too slow|timed out)"
    r"|RPC failed; curl (5|6|7|16|18|28|35|52|55|56|92|95)\b|early EOF"
    r"|unexpected disconnect while reading sideband|hung up unexpectedly|invalid index-pack output"
    r"|bytes of body are still expected|inflate returned|pack has bad object|bad pack header"
    r"|gnutls_handshake|SSL_ERROR_SYSCALL|TLS packet|SSL_read|expected (ACK/NAK|flush|packfile)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Credential:
    """Who we are to a server; the token is shown by no ``repr``."""

    username: str
    token: str


def check_url(url: str, credential: Credential | None) -> None:
    """Refuse a URL that holds credentials, that git would run as a command, or that is no URL.

    Raises :class:`ConfigurationError`.
    """
    parts = urlsplit(url)
    if parts.scheme not in PROTOCOLS:
        allowed = ", ".join(f"{name}://" for name in PROTOCOLS)
        hint = f" (write file://{Path(url).absolute()})" if Path(url).exists() else ""
        if re.match(r"(ssh://|[\w.-]+@[\w.-]+:)", url):
            hint = " (ssh is not supported: use https:// and a token)"
        raise ConfigurationError(
            f"{url!r} is no repository URL: it begins with none of {allowed}{hint}"
        )
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"the URL of {parts.hostname}{parts.path} holds credentials: "
            "pass the token in the environment variable GIT_TOKEN, or as a file with --token-file"
        )
    if re.search(r"[\x00-\x20\x7f]|%0[ad]", url, re.IGNORECASE):
        raise ConfigurationError(f"{url!r} holds a blank or control character")
    if credential and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(f"a token must not travel unencrypted: use https:// for {url}")


def check_revision(revision: str) -> None:
    """Refuse what git could read as an option or a range. Raises :class:`ConfigurationError`."""
    if revision.startswith("-") or not re.fullmatch(r"[\w.][\w./+@#=-]*", revision):
        raise ConfigurationError(f"{revision!r} is no branch, tag or full commit")
    if ".." in revision or "@{" in revision:
        raise ConfigurationError(f"{revision!r} is no branch, tag or full commit")


def resolve(url: str, revision: str, *, credential: Credential | None, timeout: float) -> str:
    """Return the commit that the server has under ``revision``.

    ``HEAD`` is the server's default branch. Raises :class:`ConfigurationError` when the server
    has no such revision, or both a branch and a tag of that name at different commits.
    """
    if _FULL_COMMIT.fullmatch(revision):
        return revision
    with _environment(url, credential) as env:
        listed = _git("ls-remote", "--end-of-options", url, env=env, timeout=timeout, url=url)
    pairs = (line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    refs = {name: commit for commit, name in pairs}
    names = (
        (revision,) if revision == "HEAD" else (f"refs/heads/{revision}", f"refs/tags/{revision}")
    )
    names = (revision, *names) if revision.startswith("refs/") else names
    found = {name: refs.get(f"{name}^{{}}") or refs[name] for name in names if name in refs}
    if len(set(found.values())) > 1:
        raise ConfigurationError(
            f"{revision!r} is both a branch and a tag of {url}: write refs/heads/{revision} "
            f"or refs/tags/{revision}"
        )
    if not found:
        raise ConfigurationError(
            f"{url} has no branch or tag {revision!r}{_known_refs(refs)}", reason=Reason.NOT_FOUND
        )
    return next(iter(found.values()))


def check_out(
    url: str, commit: str, into: Path, *, credential: Credential | None, timeout: float
) -> None:
    """Fetch just ``commit`` into the empty directory ``into``, check it out, and verify it."""
    with _environment(url, credential) as env:
        _git("init", "--quiet", ".", cwd=into, env=env, timeout=timeout, url=url)
        _git("remote", "add", "origin", url, cwd=into, env=env, timeout=timeout, url=url)
        fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--end-of-options")
        _git(*fetch, "origin", commit, cwd=into, env=env, timeout=timeout, url=url)
        checkout = ("checkout", "--quiet", "--detach", commit)
        _git(*checkout, cwd=into, env=env, timeout=timeout, url=url)
        _git("config", f"{MARK}.commit", commit, cwd=into, env=env, timeout=timeout, url=url)
    if head(into) != commit:  # a proxy's login page can pass for an empty repository
        raise ToolError(f"{url} did not send commit {commit}", reason=Reason.NETWORK)


def head(checkout: Path) -> str | None:
    """Return the commit that is checked out, or None if there is none."""
    import git

    try:
        with git.Repo(checkout) as repo:
            return str(repo.head.commit.hexsha)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return None


def made_by_stepkit(checkout: Path) -> bool:
    """Tell whether :func:`check_out` made this checkout."""
    import git

    try:
        with git.Repo(checkout) as repo, repo.config_reader("repository") as config:
            return config.has_section(MARK)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        return False


def changed(checkout: Path) -> bool:
    """Tell whether a checkout holds anything but its commit: edits, new files, new commits."""
    import git

    with git.Repo(checkout) as repo, repo.config_reader("repository") as config:
        if repo.head.commit.hexsha != config.get_value(MARK, "commit"):
            return True
        with repo.git.custom_environment(**_BARE_ENVIRONMENT):
            return bool(repo.git.status("--porcelain"))


def _git(
    *args: str, url: str, env: Mapping[str, str], timeout: float, cwd: Path | None = None
) -> str:
    program = shutil.which("git")
    if program is None:
        raise ConfigurationError("there is no git on PATH: install it (apt-get install git)")
    done = process.run([program, *args], cwd=cwd, env=env, timeout=timeout)
    if done.timed_out:
        raise ToolError(f"git {args[0]} of {url} took over {timeout:g} s", reason=Reason.NETWORK)
    if done.code:
        raise _translated(done.output, f"git {args[0]} of {url} failed", cwd)
    return done.output


# Nothing of the user's or the image's git configuration applies: a hook or a helper of somebody
# else's must not run, and an inherited GIT_DIR must not redirect us.
_BARE_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_SETTINGS: Final = {
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    "http.followRedirects": "initial",
    "safe.directory": "*",  # the workspace may belong to another uid
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "https_proxy", "HTTPS_PROXY", "http_proxy",
                          "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "GIT_SSL_CAINFO")  # fmt: skip


@contextmanager
def _environment(url: str, credential: Credential | None) -> Iterator[dict[str, str]]:
    """Yield the environment of a git call: ours alone, with a credential for ``url``'s host alone.

    A credential helper scoped to one origin is the only way that leaks neither to argv, to
    ``.git/config``, to children's environments, nor to another host after a redirect.
    """
    settings = dict(_SETTINGS)
    with TemporaryDirectory(prefix="stepkit-git-") as private:
        if credential:
            secret = Path(private, "credential")
            secret.touch(mode=0o600)
            secret.write_text(f"username={credential.username}\npassword={credential.token}\n")
            parts = urlsplit(url)
            helper = f'!f() {{ test "$1" = get && cat {shlex.quote(str(secret))}; }}; f'
            settings["credential.helper"] = ""  # forget any other helper first
            settings[f"credential.{parts.scheme}://{parts.netloc}.helper"] = helper
        yield _with_settings(settings)


def _with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    env |= _BARE_ENVIRONMENT | {
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second; slower than this for
        "GIT_HTTP_LOW_SPEED_TIME": "30",  # so many seconds is a stall
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def _known_refs(refs: Mapping[str, str]) -> str:
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    return f" (branches: {', '.join(branches[:_SHOWN_BRANCHES])})" if branches else ""


def _translated(output: str, what: str, cwd: Path | None) -> StepError:
    said = re.findall(r"^(?:fatal|error|remote): *(.*)", output, re.MULTILINE)
    reason = said[-1] if said else (output.strip().splitlines() or ["no message"])[-1]
    message = f"{what}: {reason.rstrip('.')}"
    if _LOCAL.search(output) or (cwd and shutil.disk_usage(cwd).free == 0):
        message += f": free space beside {cwd} and run again"
        return ToolError(message, reason=Reason.DISK_FULL)
    if _AUTH.search(output):
        message += ": is GIT_TOKEN set, valid, and allowed to read the repository?"
        return ConfigurationError(message, reason=Reason.AUTH)
    if _MISSING.search(output):
        message += ": check the URL"
        if "file://" not in what:
            message += "; a private repository without a valid token looks the same"
        return ConfigurationError(message, reason=Reason.NOT_FOUND)
    if _TRANSIENT.search(output):
        return ToolError(message, reason=Reason.NETWORK)
    return ConfigurationError(message)
