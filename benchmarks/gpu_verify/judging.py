"""What an answer proves: nothing where the thing in question did not really run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.gpu.allocators import guard_problem
from benchmarks.sampler import unwatched

Findings = dict[str, Any]

HOLDS: Final = "holds"
FAILS: Final = "fails"
NOT_JUDGED: Final = "not judged"

_GIB: Final = 1 << 30
_SAMPLER_PERCENT: Final = 0.5  # of a core
_LINE: Final = 160  # characters of an error


@dataclass(frozen=True)
class Answer:
    """Whether a check holds, and what was measured, in one line."""

    verdict: Literal["holds", "fails", "not judged"]
    measured: str


Judge = Callable[[Findings], Answer]


def lost(found: Mapping[str, Any]) -> Answer | None:
    """Return an answer where the process hung, was killed or crashed: it shows nothing."""
    if found.get("lost"):
        return Answer(NOT_JUDGED, _line(found["error"]))
    return None


def _line(text: object) -> str:
    return " ".join(str(text).split())[:_LINE]


def _held(condition: object, measured: str) -> Answer:
    return Answer(HOLDS if condition else FAILS, measured)


def of_command(*, code: int, reason: str, seconds: float = math.inf) -> Judge:
    """Judge a command by its exit code, its reason, and how long it took."""

    def judge(found: Findings) -> Answer:
        report = found.get("report", {})
        ended = (found.get("code"), report.get("reason"))
        text = (
            f"exit {ended[0]}, {ended[1]}, {found.get('seconds', 0):.1f} s: {report.get('message')}"
        )
        in_time = found.get("seconds", math.inf) <= seconds
        return lost(found) or _held(ended == (code, reason) and in_time, _line(text))

    return judge


def of_guarded(*, allocator: str = "", lowered: bool = False) -> Judge:
    """Judge the work of a process under the guard: the right sum, from the named allocator."""

    def judge(found: Findings) -> Answer:
        if "error" in found:
            return lost(found) or Answer(FAILS, _line(found["error"]))
        log = found["guard_log"]
        problem = guard_problem(found, lowered=lowered)
        if not problem and allocator not in log["allocator"]:
            problem = f"the guard served {log['allocator']}"
        if not problem and not log["peak"]:
            problem = "no array went through RMM"
        right = found["outcome"].get("value") is True
        outcome = "the right sum" if right else _line(found["outcome"].get("error", "a wrong sum"))
        return _held(right and not problem, problem or f"{outcome} from {log['allocator']}")

    return judge


def of_overflow(found: Findings) -> Answer:
    """Judge 3 GiB on a budget of one: the right sum, from managed memory beyond the budget."""
    answer = of_guarded(allocator="managed memory")(found)
    if answer.verdict != HOLDS:
        return answer
    peak = found["guard_log"]["peak"]
    return _held(peak >= 3 * _GIB, f"{answer.measured}, which handed out {peak / _GIB:.2f} GiB")


def of_no_device(found: Findings) -> Answer:
    """Judge a guarded process without a device: the guard names CUDA's own error."""
    error = str(found.get("outcome", {}).get("error", found.get("error", "it found a device")))
    named = "GpuMissing: no GPU can be used: cudaErrorNoDevice" in error
    return lost(found) or _held(named, _line(error))


def of_lower_attempt(printed: str) -> Judge:
    """Judge a notebook that runs out of memory, and gets through on a later attempt."""

    def judge(found: Findings) -> Answer:
        outputs = found.get("report", {}).get("outputs") or {}
        reasons = [attempt["reason"] for attempt in outputs.get("attempts") or ()]
        text = f"exit {found.get('code')}, attempts {', '.join(reasons) or 'none'}"
        full = "gpu-out-of-memory"
        lowered = len(reasons) > 1 and set(reasons[:-1]) == {full} and reasons[-1] == "ok"
        right = printed in found.get("printed", "")
        if lowered and not right:
            text += ", and a wrong sum"
        return lost(found) or _held(found.get("code") == 0 and lowered and right, text)

    return judge


def of_timeline(found: Findings) -> Answer:
    """Judge the peaks of cells: the second one takes 1 GiB, and at most one more."""
    if found.get("code") != 0:
        report = found.get("report", {})
        return lost(found) or Answer(FAILS, _line(f"exit {found['code']}: {report.get('message')}"))
    outputs = found["report"]["outputs"]
    peaks = [cell["gpu_peak"] for cell in outputs["cells"]]
    if peaks[1] is None:
        return Answer(NOT_JUDGED, "the sampler saw no memory of the GPU")
    by_rmm = outputs["guard"]["peak"] or 0
    text = f"the cell took {peaks[1] / _GIB:.2f} GiB, RMM handed out {by_rmm / _GIB:.2f} GiB"
    return _held(_GIB <= peaks[1] <= 2 * _GIB and by_rmm >= _GIB, text)


def of_sampler(found: Findings) -> Answer:
    """Judge what sampling costs: at most half a percent of a core, where it saw the GPU."""
    if "error" in found:
        return lost(found) or Answer(NOT_JUDGED, _line(found["error"]))
    if problem := unwatched(found):
        return Answer(NOT_JUDGED, _line(f"it did not watch the GPU: {problem}"))
    share = 100 * found["share_of_a_core"]
    return _held(share <= _SAMPLER_PERCENT, f"{share:.2f} % of a core, {found['samples']} samples")


def of_ratio(workload: str, *, least: float | None = None, most: float | None = None) -> Judge:
    """Judge how many times longer the first mode of ``runs`` takes than the second."""

    def judge(found: Findings) -> Answer:
        times = []
        for run in found["runs"]:
            problem = run.get("error") or guard_problem(run)
            measured = run.get("workloads", {}).get(workload)
            if problem or not isinstance(measured, int | float):
                reason = problem or (measured or {}).get("error", "it was not measured")
                return Answer(NOT_JUDGED, _line(f"{run['mode']}: {reason}"))
            times.append(measured)
        if not times[1]:
            return Answer(
                NOT_JUDGED, f"{found['runs'][1]['mode']} took no time that can be measured"
            )
        ratio = times[0] / times[1]
        kept = (least is None or ratio >= least) and (most is None or ratio <= most)
        return _held(kept, f"{ratio:.3g} times ({times[0]:.3g} and {times[1]:.3g} us)")

    return judge
