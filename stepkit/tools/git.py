"""Git: GitPython reads checkouts; what talks to a server runs the git program itself.

GitPython cannot give a network call a deadline or end its helper processes, so those calls go
through :mod:`stepkit.tools.process`.
"""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.tools import process
from stepkit.tools.git_environment import (
    PROTOCOLS,
    Credential,
    GitEnvironment,
    environment,
    without_credential,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Credential", "call", "check_out", "check_revision", "check_url", "head", "resolve"]

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_SHOWN_BRANCHES: Final = 8
_FULL_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?", re.IGNORECASE)
_NO_REF: Final = re.compile(r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|[./]$")

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


def check_url(url: str, credential: Credential | None) -> None:
    """Refuse a URL that holds credentials, that git would run as a command, or that is no URL.

    Raises :class:`ConfigurationError`.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:  # its text may hold a password: not shown
        shown = re.sub(r"//.*@", "//", url, flags=re.DOTALL)
        raise ConfigurationError(f"{shown!r} is no repository URL: its host is wrong") from error
    if parts.scheme not in PROTOCOLS:
        allowed = ", ".join(f"{name}://" for name in PROTOCOLS)
        hint = f" (write file://{os.path.abspath(url)})" if os.path.exists(url) else ""  # noqa: PTH100, PTH110 - never raises
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
    """Refuse what no branch or tag can be called (git-check-ref-format(1)), options and ranges.

    Raises :class:`ConfigurationError`.
    """
    if revision in {"", "@"} or _NO_REF.search(revision):
        raise ConfigurationError(f"{revision!r} is no branch, tag or full commit")


def resolve(url: str, revision: str, *, credential: Credential | None, timeout: float) -> str:
    """Return the commit that the server has under ``revision``.

    ``HEAD`` is the server's default branch. Raises :class:`ConfigurationError` when the server
    has no such revision, or both a branch and a tag of that name at different commits.
    """
    if _FULL_COMMIT.fullmatch(revision):
        return revision.lower()
    with environment(url, credential) as env:
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
    url: str, revision: str, into: Path, *, credential: Credential | None, timeout: float
) -> str:
    """Fetch just ``revision`` into the empty directory ``into``, check it out, and verify it.

    ``revision`` is the full name of a commit, or of an annotated tag. Returns the commit.
    """
    with environment(url, credential) as env:
        ask = partial(_git, cwd=into, env=env, timeout=timeout, url=url)
        ask("init", "--quiet", "--template=", ".")
        ask("remote", "add", "origin", url)
        fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--end-of-options")
        ask(*fetch, "origin", revision)
    local = partial(_git, cwd=into, env=without_credential(), timeout=timeout, url=url)
    try:
        commit = local("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}").strip()
    except ConfigurationError as error:
        raise ConfigurationError(f"{revision} of {url} is no commit") from error
    local("checkout", "--quiet", "--detach", commit)
    local("config", f"{MARK}.commit", commit)
    if head(into) != commit:  # a proxy's login page can pass for an empty repository
        raise ToolError(f"{url} did not send commit {commit}", reason=Reason.NETWORK)
    return commit


def head(checkout: Path) -> str | None:
    """Return the commit that is checked out, or None if there is none."""
    import git

    try:
        with git.Repo(checkout) as repo:  # asks no git program, which would heed its settings
            return str(git.HEAD.dereference_recursive(repo, "HEAD"))
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return None


def call(*args: str, cwd: Path, timeout: float) -> str:
    """Run git in ``cwd`` without a server and return what it printed. Raises a StepError."""
    return _git(*args, cwd=cwd, env=without_credential(), timeout=timeout, url=str(cwd))


def _git(*args: str, url: str, env: GitEnvironment, timeout: float, cwd: Path | None = None) -> str:
    program = shutil.which("git")
    if program is None:
        raise ConfigurationError("there is no git on PATH: install it (apt-get install git)")
    done = process.run(
        [program, *args],
        cwd=cwd,
        env=env.variables,
        timeout=timeout,
        pass_fds=env.descriptors,
        keep=None,  # a large repository has megabytes of refs, and each one counts
    )
    if done.timed_out:
        raise ToolError(f"git {args[0]} of {url} took over {timeout:g} s", reason=Reason.NETWORK)
    if done.code:
        raise _translated(done.output, f"git {args[0]} of {url} failed", cwd)
    return done.output


def _known_refs(refs: Mapping[str, str]) -> str:
    branches = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    return f" (branches: {', '.join(branches[:_SHOWN_BRANCHES])})" if branches else ""


def _translated(output: str, what: str, cwd: Path | None) -> StepError:
    said = re.findall(r"^(?:fatal|error|remote): *(.*)", output, re.MULTILINE)
    said = [line for line in said if "Could not read from remote" not in line]  # says nothing
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
