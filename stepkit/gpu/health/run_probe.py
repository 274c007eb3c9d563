"""Run :mod:`stepkit.kernel.probe_script`, or a script like it, by the kernel's own Python."""

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
PROBE: Final = _KERNEL / "probe_script.py"
RAPIDS_DOCTOR: Final = _KERNEL / "rapids_doctor_script.py"
RMM_TEST: Final = _KERNEL / "rmm_test_script.py"
_MARK: Final = "stepkit-probe "
_GRACE_SECONDS: Final = 1.0  # a probe has nothing to save


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the script printed, stage by stage, and how it ended.

    ``began`` is the last stage that began, ``code`` the exit code (negative for a signal),
    ``last_line`` the last line that something else printed. ``stopped`` means that another thread
    asked for the end. The script prints a stage ``end`` when it got through all stages.
    """

    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    began: str = "start"
    code: int = 0
    timed_out: bool = False
    stopped: bool = False
    last_line: str = ""
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether the script got through all its stages."""
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
    """Run a script to its end, for at most ``timeout`` seconds or until ``stop`` is set.

    ``command`` is the Python, the script (:data:`PROBE`, :data:`RAPIDS_DOCTOR` or
    :data:`RMM_TEST`) and its arguments. Raises :class:`ConfigurationError` when that Python does
    not exist or runs no script.
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
    answers = _parse(done, stopped=bool(stop and stop.is_set() and done.code))
    if answers.code >= 0 and answers.began == "start" and not answers.stopped:
        said = answers.last_line or "it printed nothing"
        raise ConfigurationError(
            f"{command[0]} cannot run the check of the GPU: {said}; it takes Python 3.9 or later"
        )
    return answers


def _parse(done: process.Completed, *, stopped: bool) -> Answers:
    stages: dict[str, Mapping[str, Any]] = {}
    began, last_line = "start", ""
    for line in done.output.splitlines():
        before, _, text = line.partition(_MARK)
        last_line = before.strip() or last_line
        try:
            facts = json.loads(text)
        except ValueError:  # something else printed it, or the end cut it off
            continue
        stage = facts.pop("stage", None) if isinstance(facts, dict) else None
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
        last_line=last_line,
        seconds=done.seconds,
    )
