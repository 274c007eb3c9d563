"""What git says when it fails, and whether another try may help."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

# What git, git-lfs and ssh say, in the order in which it is looked for; anything unknown counts as
# permanent, because trying again in vain only hides the cause. Seen with git 2.39, git-lfs 3.3 and
# OpenSSH 9.2.
_LOCAL: Final = re.compile(
    r"No space left|unable to write file|Disk quota exceeded|Cannot allocate memory", re.IGNORECASE
)
_KEY: Final = re.compile(
    r"Permission denied \([\w,-]*publickey|Load key .*: (error in libcrypto|invalid format)"
)
_HOST_KEY: Final = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION")
_NO_USER: Final = re.compile(r"No user exists for uid (\d+)")
_PROXY: Final = re.compile(r"Could not resolve proxy|code 407 from proxy|error: 407\b")
_CERTIFICATE: Final = re.compile(
    r"certificate verif|SSL certificate problem|certificate subject name|does not match target host"
    r"|problem with the SSL CA|setting certificate|x509: ",
    re.IGNORECASE,
)
_AUTH: Final = re.compile(
    r"could not read (Username|Password)|terminal prompts disabled|Authentication failed for"
    r"|returned error: (401|403)\b|Authorization error|Authentication required"
    r"|Git credentials for .* not found",
    re.IGNORECASE,
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


def translated(output: str, what: str, cwd: Path | None) -> StepError:
    """Return the error that says why git failed, from what it printed."""
    reason = _said(output)
    message = f"{what}: {reason.rstrip('.')}"
    if _LOCAL.search(output) or (cwd and shutil.disk_usage(cwd).free == 0):
        message += f": free space beside {cwd} and run again"
        return ToolError(message, reason=Reason.DISK_FULL)
    if hint := _hint_for_access(output):
        return ConfigurationError(f"{message}: {hint}", reason=Reason.AUTH)
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


def _hint_for_access(output: str) -> str:
    if none := _NO_USER.search(output):
        return f"ssh runs for no uid without a name in /etc/passwd ({none[1]}): use https://"
    if _HOST_KEY.search(output):
        return (
            "add the server's key to known_hosts in --ssh-directory, or trust it the first "
            "time with --host-key-policy accept-new"
        )
    if _KEY.search(output):
        return "does the server know the key in --ssh-directory, and has it no passphrase?"
    if _AUTH.search(output):
        return "is GIT_TOKEN set, valid, and allowed to read the repository?"
    return ""


def _said(output: str) -> str:
    ssh = next((line for line in output.splitlines() if _ssh_says(line)), "")
    said = re.findall(
        r"^(?:fatal|error|remote|batch response|ssh): *(.*)", output, re.MULTILINE | re.IGNORECASE
    )
    said = [line for line in said if not _SAYS_NOTHING.search(line)]
    return ssh or (said[-1] if said else (output.strip().splitlines() or ["no message"])[-1])


def _ssh_says(line: str) -> bool:
    return bool(_KEY.search(line) or _HOST_KEY.search(line) or _NO_USER.search(line))
