"""Find out whether a notebook can use the GPU, before it starts, and if not, why.

An error that CUDA gives at its start stays for the life of the process, and a process that has used
CUDA must not fork. Therefore each try runs in a new process of the kernel's own Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError, ToolError
from stepkit.gpu.health import container, diagnosis, environment_facts, run_probe
from stepkit.gpu.health.diagnosis import Trouble
from stepkit.gpu.health.findings import Device, Finding, Need
from stepkit.system import atomic_files
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from stepkit.gpu.health.remedies import Cause
    from stepkit.gpu.health.run_probe import Answers

TIMEOUT_SECONDS: Final = 60.0
TRIES: Final = 3
_LEAST_SECONDS: Final = 1.0  # for a last try that begins in time


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found. ``facts`` can be written as JSON; sizes in it are bytes.

    ``found`` is why the GPU cannot be used, also where it is optional. ``stopped`` means that
    another thread asked for the end before there was an answer.
    """

    need: Need
    devices: tuple[Device, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    found: Trouble | None = None
    stopped: bool = False

    @property
    def trouble(self) -> Cause | None:
        """Why the GPU cannot be used, None if it can or none was asked for."""
        return self.found.cause if self.found else None

    @property
    def usable(self) -> bool:
        """Whether a notebook can use the first GPU."""
        return bool(self.devices) and self.trouble is None and not self.stopped

    @property
    def message(self) -> str:
        """What was found, in one line."""
        if self.found:
            return self.found.line
        if self.stopped:
            return "the check of the GPU was stopped before its end"
        if not self.devices:
            return "no GPU was asked for"
        first = self.devices[0]
        count = "1 GPU" if len(self.devices) == 1 else f"{len(self.devices)} GPUs"
        driver = f", driver {first.driver}" if first.driver else ""
        return f"{count}: {first.text}{driver}, CUDA {first.cuda}"

    def error(self) -> StepError:
        """Return the error that ends a step; there must be ``trouble``."""
        assert self.trouble is not None
        return self.trouble.error(self.message, reason=self.trouble.reason)


def diagnose(
    python: str = sys.executable,
    *,
    need: Need,
    env: Mapping[str, str] | None = None,
    min_memory: int | None = None,
    min_disk: int | None = None,
    min_shm: int | None = None,
    timeout: float = TIMEOUT_SECONDS,
    tries: int = TRIES,
    directory: Path | None = None,
    stop: threading.Event | None = None,
) -> Diagnosis:
    """Check the GPU as the notebook of a kernel with this ``python`` would find it.

    ``env`` is the kernel's whole environment (default: ours), ``directory`` where it works,
    ``min_memory`` the bytes that must be free on the first GPU, ``min_disk`` in the directory and
    for temporary files; ``min_shm`` is the least size of /dev/shm. ``timeout`` holds, in seconds,
    for all ``tries`` together; another thread may set ``stop``. ``need`` "none" touches no GPU.

    Raises :class:`~stepkit.errors.ConfigurationError` for a Python that does not exist or does not
    run, :class:`~stepkit.errors.ToolError` for one that is killed or hangs before it begins. A GPU
    that cannot be used raises nothing: see :attr:`Diagnosis.trouble`.
    """
    began = time.monotonic()

    def ask() -> tuple[Answers, Trouble | None]:
        left = max(began + timeout - time.monotonic(), _LEAST_SECONDS)
        command = [python, str(run_probe.PROBE), "none" if need == "none" else "gpu"]
        answers = run_probe.ask(command, env=env, directory=directory, timeout=left, stop=stop)
        if need == "none":
            return answers, None
        nodes = container.nodes()
        return answers, diagnosis.trouble(answers, min_memory=min_memory, nodes=nodes)

    tried = _until_settled(ask, tries=tries, until=began + timeout, stop=stop)
    answers, found = tried[-1]
    diagnosis.require_python(python, answers)
    with atomic_files.explaining("cannot tell the current directory"):
        workplace = directory or Path.cwd()
    facts = container.facts(answers.of("python").get("variables", {}), workplace)
    surroundings = container.findings(facts, min_disk=min_disk, min_shm=min_shm)
    devices = diagnosis.devices(answers)
    cost = {"tries": len(tried), "seconds": round(time.monotonic() - began, 3)}
    return Diagnosis(
        need=need,
        devices=devices,
        findings=tuple(environment_facts.findings(answers, devices, found, need, surroundings)),
        facts=environment_facts.facts(answers, devices, container=facts, probe=cost),
        found=found,
        stopped=answers.stopped,
    )


def _until_settled(
    ask: Callable[[], tuple[Answers, Trouble | None]],
    *,
    tries: int,
    until: float,
    stop: threading.Event | None,
) -> list[tuple[Answers, Trouble | None]]:
    """Ask until waiting cannot help, and return every answer."""
    tried: list[tuple[Answers, Trouble | None]] = []

    def attempt() -> None:
        answers, found = ask()
        tried.append((answers, found))
        if found and found.cause.transient and time.monotonic() < until:
            raise ToolError(found.text)

    with suppress(ToolError):  # the last answer holds the cause
        retrying(tries).copy(sleep=_waiting(stop, until))(attempt)
    return tried


def _waiting(stop: threading.Event | None, until: float) -> Callable[[float], Any]:
    """Return the function that waits between two tries: until ``until`` or ``stop`` at most."""
    wait = stop.wait if stop else time.sleep
    return lambda seconds: wait(max(min(seconds, until - time.monotonic()), 0))
