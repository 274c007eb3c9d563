"""Ask a cluster through kubectl, and never change it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

READING: Final = frozenset({"describe", "get", "logs", "version"})
SECONDS: Final = 30.0  # that one answer may take


class RefusedError(Exception):
    """kubectl gave no answer; the text says why, in one line."""


class CannotAskError(RefusedError):
    """kubectl is missing or reaches no cluster: other questions would have no answer, either."""


class ForbiddenError(RefusedError):
    """The user has no right to ask this."""


class AbsentError(RefusedError):
    """The object does not exist."""


class UnknownKindError(AbsentError):
    """The cluster has no objects of this kind at all."""


# What kubectl prints when nothing can be asked at all ...
_UNREACHED: Final = re.compile(
    r"connection .*refused|unable to connect|i/o timeout|no such host|TLS handshake|x509:"
    r"|must be logged in|context .*(not found|does not exist)|in configuration"
    r"|invalid configuration|error loading config|request canceled|getting credentials"
    r"|asked for the client to provide|executable .* not found",
    re.IGNORECASE,
)
# ... and when the API server answers, and refuses.
_ANSWERED: Final = "error from server"
_MEANINGS: Final[tuple[tuple[str, type[RefusedError]], ...]] = (
    (r"\(Unauthorized\)", CannotAskError),
    (r"doesn't have a resource type|no matches for kind", UnknownKindError),
    (r"\(NotFound\)", AbsentError),
    (r"\(Forbidden\)", ForbiddenError),
)


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """kubectl with a context (empty: the current one); ``seconds`` is for each answer."""

    context: str = ""
    seconds: float = SECONDS

    def text(self, *args: str) -> str:
        """Return what kubectl prints on stdout.

        Raises :class:`RefusedError`, as one of the classes above where the reason is known, and
        ``ValueError`` for a command that is not one of :data:`READING`.
        """
        if args[0] not in READING:
            raise ValueError(f"kubectl {args[0]} is more than reading")
        command = ["kubectl", *([f"--context={self.context}"] if self.context else []), *args]
        code, printed, complaint = self._run(command)
        if code:
            raise _refusal(complaint)
        return printed

    def versions(self) -> dict[str, Any]:
        """Return the versions of kubectl and of the API server; raises as :meth:`text`."""
        return self._json("version")

    def object(self, *args: str) -> dict[str, Any]:
        """Return what ``kubectl get`` finds; raises as :meth:`text`."""
        return self._json("get", *args)

    def items(self, *args: str) -> list[dict[str, Any]]:
        """Return the objects of a list; raises as :meth:`text`."""
        return list(self.object(*args).get("items", []))

    def _json(self, *args: str) -> dict[str, Any]:
        printed = self.text(*args, "--output=json")
        try:
            found = json.loads(printed)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RefusedError(f"kubectl {' '.join(args[:2])} printed no JSON")
        return found

    def _run(self, command: list[str]) -> tuple[int, str, str]:
        try:
            child = subprocess.Popen(  # noqa: S603 - an argument list, never a shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CannotAskError("there is no kubectl on this machine: install it") from None
        except OSError as error:
            raise CannotAskError(f"kubectl does not start: {error.strerror}") from error
        with child:
            try:
                printed, complaint = child.communicate(timeout=self.seconds)
            except BaseException as error:
                # The whole group: a login helper that kubectl started would hold the pipes open.
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                words = f"kubectl gave no answer in {self.seconds:g} seconds"
                raise CannotAskError(words) from None
        return child.returncode, printed, complaint


def name_of(thing: dict[str, Any]) -> str:
    """Return the name of an object."""
    return str(thing["metadata"]["name"])


def _refusal(complaint: str) -> RefusedError:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    # klog's lines (E1122 17:11:31.592962 ...) repeat what the last line says in plain words.
    plain = [line for line in lines if not re.match(r"[EWIF]\d{4} ", line)] or lines
    said = (plain[-1] if plain else "kubectl failed and said nothing")[:500]
    if _ANSWERED not in said.lower() and _UNREACHED.search(said):
        return CannotAskError(said)
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, said):
            return meaning(said)
    return RefusedError(said)
