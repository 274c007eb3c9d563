"""Turn the messages of a failed git command into an error, and say if a retry may help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.http import status_codes
from stepkit.system import disk, tool_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.git.server_answer import Answer

# Messages of git 2.39, git-lfs 3.3 and OpenSSH 9.2. An unknown message counts as permanent, because
# useless retries only hide the cause.
_LOCAL: Final = re.compile(
    r"No space left|unable to write file|Disk quota exceeded|Cannot allocate memory", re.IGNORECASE
)
_BAD_DISK: Final = re.compile(r"Input/output error|Stale (NFS )?file handle", re.IGNORECASE)
# What git says of its own new files, without a reason, when a disk does not take them.
_NOT_WRITTEN: Final = re.compile(
    r"could not set '|couldn't (write|set) '|failed to write|unable to write new"
    r"|unable to create directory for '\.git|Failed to traverse parents"
)
_FORBIDDEN: Final = re.compile(r"Permission denied|Read-only file system")
_PROXY: Final = re.compile(r"Could not resolve proxy")
_MOVED: Final = re.compile(r"HTTP 30\d curl 22")  # git follows a redirect only before a login
_OTHER_HOST: Final = re.compile(r"certificate subject name|does not match target host")
_CERTIFICATE: Final = re.compile(
    r"certificate verif|SSL certificate problem"
    r"|problem with the SSL CA|setting certificate|x509: ",
    re.IGNORECASE,
)
_SSH_HINTS: Final = (
    (
        re.compile(r"No user exists for uid (\d+)"),
        r"ssh does not run for a uid without a name in /etc/passwd (\1): use https://",
    ),
    (
        re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION"),
        (
            "add the server's key to known_hosts in --ssh-directory, "
            "or trust it the first time with --host-key-policy accept-new"
        ),
    ),
    (
        re.compile(
            r"Permission denied \([\w,-]*publickey"
            r"|Load key .*: (error in libcrypto|invalid format)"
        ),
        "does the server know the key in --ssh-directory, and has it no passphrase?",
    ),
)
_PROXY_LOGIN_HINT: Final = (
    re.compile(r"code 407 from proxy|error: 407\b"),
    "check the proxy's address and its login",
)
_AUTH_HINT: Final = (
    re.compile(
        r"could not read (Username|Password)|terminal prompts disabled|Authentication failed for"
        r"|returned error: (401|403)\b|Authorization error|Authentication required"
        r"|Git credentials for .* not found",
        re.IGNORECASE,
    ),
    "is GIT_TOKEN set, valid, and allowed to read the repository?",
)
_MISSING: Final = re.compile(
    r"returned error: (404|410)\b|repository ('.*' )?not found|does not exist"
    r"|does not appear to be a git repository|not our ref|couldn't find remote ref"
    r"|Repository or object not found|\[404\] Object does not exist|remote missing object",
    re.IGNORECASE,
)
_TRANSIENT: Final = re.compile(
    r"Could not resolve host|Temporary failure in name resolution|Failed to connect"
    r"|Couldn't connect|Connection (refused|reset|timed out|closed)|Network is unreachable"
    r"|No route to host|Empty reply|returned error: (408|425|429|5\d\d)\b"
    r"|HTTP (408|425|429|5\d\d) curl 22|Operation (too slow|timed out)"
    r"|RPC failed; curl (5|6|7|16|18|28|35|52|55|56|92|95)\b|early EOF"
    r"|unexpected disconnect while reading sideband|hung up unexpectedly|invalid index-pack output"
    r"|bytes of body are still expected|inflate returned|pack has bad object|bad pack header"
    r"|gnutls_handshake|SSL_ERROR_SYSCALL|TLS packet|SSL_read|expected (ACK/NAK|flush|packfile)"
    r"|Server error: |connection refused|i/o timeout|unexpected EOF"
    r"|HTTP (408|425|429|5\d\d)\b",
    re.IGNORECASE,
)
# git-lfs says "LFS: Error" after its retries of a request that the server limits (429).
_LFS: Final = re.compile(
    r"^Error downloading object: (.*) \([0-9a-f]+\): Smudge error: Error downloading .*?"
    r" \([0-9a-f]{64}\): (.*)",
    re.MULTILINE,
)
_LFS_TRANSIENT: Final = re.compile(
    r"batch response: LFS: Error|Rate limit exceeded|: EOF\b|Expected JSON type, got", re.IGNORECASE
)
_LFS_CHECKSUM: Final = re.compile(r"expected OID [0-9a-f]+, got [0-9a-f]+")
_FSCK: Final = re.compile(r"^(?:remote: )?error: (object [0-9a-f]+: \w+: .*)", re.MULTILINE)
_SAYS_NOTHING: Final = re.compile(
    r"Could not read from remote|clone of '.*' into submodule path|Failed to (clone|recurse)"
    r"|external filter|smudge filter|Unable to fetch in submodule|^index-pack failed"
)
# Lines of git's own advice, whatever went wrong.
_ADVICE: Final = re.compile(
    r"^(?:fatal: Could not read from remote repository\."
    r"|Please make sure you have the correct access rights|and the repository exists\.)$",
    re.MULTILINE,
)


def web_page(what: str) -> ToolError:
    """Return the error for a server that sent a page for people; ``what`` begins its message."""
    return ToolError(
        f"{what}: the server sent a web page instead of a repository: is it the login page of a "
        "proxy or of single sign-on? check the URL and the token",
        reason=Reason.NETWORK,
    )


def translate(output: str, what: str, cwd: Path | None, answer: Answer) -> StepError:
    """Return the error for a git command that printed ``output`` and failed.

    ``what`` begins its message. ``cwd`` is where git ran; its disk may be full. ``answer`` is the
    server's last one. Its evidence are git's last lines, where they say more.
    """
    message = f"{what}: {_find_cause(output).rstrip('.')}"
    error = (
        _full_disk(output, message, cwd)
        or (web_page(what) if answer.is_web_page else None)
        or _damage(output, message)
        or _denial(output, message)
        or _missing(output, message, local="file://" in what)
        or _other(output, message, answer)
    )
    error.evidence = tool_evidence.of_output(_ADVICE.sub("", output), message=str(error))
    return error


def _full_disk(output: str, message: str, cwd: Path | None) -> StepError | None:
    lacking = disk.what_is_full(cwd) if cwd else ""
    if not lacking and not _LOCAL.search(output):
        return None
    room = "inodes" if lacking == "inodes" else "space"
    message += f": free {room} beside {cwd} and run again"
    return ToolError(message, reason=Reason.DISK_FULL)


def _damage(output: str, message: str) -> StepError | None:
    if _FSCK.search(output):
        return ConfigurationError(f"{message}: git takes this repository for damaged or hostile")
    if _NOT_WRITTEN.search(output) and not _FORBIDDEN.search(output):
        return ToolError(f"{message}: the disk does not take git's files: see the node's log")
    if _BAD_DISK.search(output):
        return ToolError(message)
    if _LFS_CHECKSUM.search(output):
        return ToolError(message, reason=Reason.CHECKSUM)
    return None


def _denial(output: str, message: str) -> StepError | None:
    for pattern, hint in (*_SSH_HINTS, _PROXY_LOGIN_HINT, _AUTH_HINT):
        if found := pattern.search(output):
            return ConfigurationError(f"{message}: {found.expand(hint)}", reason=Reason.AUTH)
    return None


def _missing(output: str, message: str, *, local: bool) -> StepError | None:
    if not _MISSING.search(output):
        return None
    message += ": check the URL"
    if not local:
        message += "; a private repository without a valid token looks the same"
    return ConfigurationError(message, reason=Reason.NOT_FOUND)


def _other(output: str, message: str, answer: Answer) -> StepError:
    if _OTHER_HOST.search(output):
        message += ": use the name of the server that its certificate has"
    elif _CERTIFICATE.search(output):
        message += ": is the server's CA in --ca-file or --ca-directory, and not expired?"
    elif _PROXY.search(output):
        message += ": check the proxy's address"
    elif _MOVED.search(output):
        message += ": the repository has moved: use its new URL"
    elif _TRANSIENT.search(output) or (_LFS.search(output) and _LFS_TRANSIENT.search(output)):
        error = ToolError(message, reason=Reason.NETWORK)
        error.retry_after = status_codes.retry_after_seconds(answer.retry_after)
        return error
    return ConfigurationError(message)


def _find_cause(output: str) -> str:
    """Return the line that says why git failed: ssh's, or the last one that means something.

    git-lfs names the file and its cause, git the object that it refuses.
    """
    if lfs := _LFS.search(output):
        return f"Git LFS cannot get {lfs[1]}: {lfs[2]}"
    if fsck := _FSCK.search(output):
        return fsck[1]
    lines = output.strip().splitlines() or ["no message"]
    for line in lines:
        if any(pattern.search(line) for pattern, _ in _SSH_HINTS):
            return line
    said = re.findall(
        r"^(?:fatal|error|remote|batch response|ssh): *(.*)", output, re.MULTILINE | re.IGNORECASE
    )
    said = [line for line in said if not _SAYS_NOTHING.search(line)]
    said += [line for line in said if line.startswith("RPC failed")]  # the cause of what follows
    return said[-1] if said else lines[-1]
