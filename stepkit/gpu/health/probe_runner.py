"""Run :mod:`stepkit.kernel.probe` or its like in a process of its own, by the kernel's Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import stepkit.kernel
from stepkit.errors import ConfigurationError
from stepkit.system import process

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

_KERNEL: Final = Path(stepkit.kernel.__path__[0])
PROBE: Final = _KERNEL / "probe.py"
DOCTOR: Final = _KERNEL / "doctor.py"
_MARK: Final = "stepkit-probe "
_GRACE_SECONDS: Final = 1.0  # a probe has nothing to save


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the probe told, stage by stage, and how it ended.

    ``began`` is the last stage that began, ``code`` the exit code (negative for a signal),
    ``said`` the last line that is none of the probe's own. ``stopped``: somebody asked for the end.
    A probe that got through all it asks tells a stage ``end``.
    """

    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    began: str = "start"
    code: int = 0
    timed_out: bool = False
    stopped: bool = False
    said: str = ""
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether the probe got through all that it asks."""
        return "end" in self.stages

    def of(self, stage: str) -> Mapping[str, Any]:
        """Return the answer of one stage, empty if it never came."""
        return self.stages.get(stage, {})


def ask(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    directory: Path | None,
    timeout: float,
    stop: threading.Event | None,
) -> Answers:
    """Run a script of ours to its end, for at most ``timeout`` seconds or until ``stop`` is set.

    ``command`` is the Python, the script (:data:`PROBE` or :data:`DOCTOR`) and its arguments.
    Raises :class:`ConfigurationError` when there is no such Python, or it runs no script.
    """
    done = process.run(
        command,
        cwd=directory,
        env=env,
        timeout=timeout,
        stop=stop,
        grace=_GRACE_SECONDS,
        kill_on_timeout=True,
        keep=None,
    )
    answers = _read(done, stopped=bool(stop and stop.is_set() and done.code))
    if answers.code >= 0 and answers.began == "start" and not answers.stopped:
        said = answers.said or "it printed nothing"
        raise ConfigurationError(
            f"{command[0]} cannot run the check of the GPU: {said}; it takes Python 3.9 or later"
        )
    return answers


def _read(done: process.Completed, *, stopped: bool) -> Answers:
    stages: dict[str, Mapping[str, Any]] = {}
    began, said = "start", ""
    for line in done.output.splitlines():
        before, _, told = line.partition(_MARK)
        if before.strip():
            said = before.strip()
        facts = _facts(told)
        stage = facts.pop("stage", None)
        if stage == "begin" and "next" in facts:
            began = facts["next"]
        elif isinstance(stage, str):
            stages[stage] = facts
    return Answers(
        stages=stages,
        began=began,
        code=done.code,
        timed_out=done.timed_out,
        stopped=stopped,
        said=said,
        seconds=done.seconds,
    )


def _facts(text: str) -> dict[str, Any]:
    """Read what one line tells; nothing of another's line, or of one that the end cut off."""
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
