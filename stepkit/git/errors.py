"""Turn the messages of a failed git command into an error, and say if a retry may help."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

# Messages of git 2.39, git-lfs 3.3 and OpenSSH 9.2. An unknown message counts as permanent, because
# useless retries only hide the cause.
_LOCAL: Final = re.compile(
    r"No space left|unable to write file|Disk quota exceeded|Cannot allocate memory", re.IGNORECASE
)
_PROXY: Final = re.compile(r"Could not resolve proxy|code 407 from proxy|error: 407\b")
_CERTIFICATE: Final = re.compile(
    r"certificate verif|SSL certificate problem|certificate subject name|does not match target host"
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
_SAYS_NOTHING: Final = re.compile(
    r"Could not read from remote|clone of '.*' into submodule path|Failed to (clone|recurse)"
    r"|external filter|smudge filter|Unable to fetch in submodule"
)


def translate(output: str, what: str, cwd: Path | None) -> StepError:
    """Return the error for a git command that printed ``output`` and failed.

    ``what`` begins its message. ``cwd`` is where git ran; its disk may be full.
    """
    message = f"{what}: {_find_cause(output).rstrip('.')}"
    if _LOCAL.search(output) or (cwd and shutil.disk_usage(cwd).free == 0):
        message += f": free space beside {cwd} and run again"
        return ToolError(message, reason=Reason.DISK_FULL)
    for pattern, hint in (*_SSH_HINTS, _AUTH_HINT):
        if found := pattern.search(output):
            return ConfigurationError(f"{message}: {found.expand(hint)}", reason=Reason.AUTH)
    if _MISSING.search(output):
        message += ": check the URL"
        if "file://" not in what:
            message += "; a private repository without a valid token looks the same"
        return ConfigurationError(message, reason=Reason.NOT_FOUND)
    if _CERTIFICATE.search(output):
        message += ": is the server's CA in --ca-file or --ca-directory?"
    elif _PROXY.search(output):
        message += ": check the proxy's address and its login"
    elif _TRANSIENT.search(output):
        return ToolError(message, reason=Reason.NETWORK)
    return ConfigurationError(message)


def _find_cause(output: str) -> str:
    """Return the line that says why git failed: ssh's, or the last one that means something."""
    lines = output.strip().splitlines() or ["no message"]
    for line in lines:
        if any(pattern.search(line) for pattern, _ in _SSH_HINTS):
            return line
    said = re.findall(
        r"^(?:fatal|error|remote|batch response|ssh): *(.*)", output, re.MULTILINE | re.IGNORECASE
    )
    said = [line for line in said if not _SAYS_NOTHING.search(line)]
    return said[-1] if said else lines[-1]
