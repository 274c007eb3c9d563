"""What the GPU side of stepkit is to reach, and the tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks import figures, gpu_ladder, gpu_workloads, table
from benchmarks.gpu_allocators import NOTEBOOKS_OWN
from benchmarks.targets import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.figures import Spread
    from benchmarks.targets import Verdict

Findings = dict[str, Any]

# Times that the first mode takes of the second's, on the allocation-heavy workload, and the bound.
_RATIOS: Final = (
    ("a pool of RMM's, beside the notebooks' own setting", NOTEBOOKS_OWN, "rmm-pool", ">=", 10.0),
    ("--rmm-mode pool, beside the notebooks' own setting", NOTEBOOKS_OWN, "guard pool", ">=", 10.0),
    ("RMM's statistics on a pool", "rmm-pool+statistics", "rmm-pool", "<=", 1.05),
    ("the guard, beside none", "guard respect", "guard off", "<=", 1.05),
)
_CHECK_SECONDS: Final = 5.0
_SAMPLER_SHARE: Final = 0.005  # of one core


def judged(found: Findings) -> list[Result]:
    """Return each target with what was measured for it."""
    results = []
    for text, over, under, sign, bound in _RATIOS:
        measured = ratio(found, over, under, gpu_workloads.ALLOCATION_HEAVY)
        results.append(_result(text, sign, bound, measured, "x"))
    checks = [run["seconds"] for run in found.get("check_environment", ()) if run["code"] == 0]
    results.append(_result("check-environment", "<=", _CHECK_SECONDS, figures.spread(checks), " s"))
    share = found.get("sampler", {}).get("share_of_a_core")
    cost = figures.spread([] if share is None else [100 * share])
    results.append(_result("the sampler, of a core", "<=", 100 * _SAMPLER_SHARE, cost, " %"))
    return [*results, *_over_budget(found)]


def ratio(found: Findings, over: str, under: str, workload: str) -> Spread | None:
    """Return how many times ``under``'s time ``over`` took, turn by turn."""
    upper, lower = (_times(found, mode, workload) for mode in (over, under))
    return figures.spread([upper[turn] / lower[turn] for turn in upper if lower.get(turn)])


def _times(found: Findings, mode: str, workload: str) -> dict[int, float]:
    return {
        run["turn"]: run["workloads"][workload]
        for run in found.get("allocators", ())
        if run["mode"] == mode and isinstance(run.get("workloads", {}).get(workload), float)
    }


def _result(text: str, sign: str, bound: float, measured: Spread | None, unit: str) -> Result:
    verdict: Verdict = "not measured"
    if measured:
        holds = measured.median <= bound if sign == "<=" else measured.median >= bound
        verdict = "reached" if holds else "not reached"
    return Result(
        text=text,
        wanted=f"{'at most' if sign == '<=' else 'at least'} {bound:g}{unit}",
        measured=f"{_spelled(measured)}{unit}" if measured else "-",
        verdict=verdict,
    )


def _over_budget(found: Findings) -> Iterator[Result]:
    for kind, run in found.get("over_budget", {}).items():
        outcome = run.get("outcome", {"ok": False, "error": run.get("error", "")})
        must_fail = kind == gpu_ladder.KINDS[0]
        right = outcome["ok"] and outcome["value"] is True
        full = not outcome["ok"] and "MemoryError" in outcome["error"]
        said = "the right sum" if right else str(outcome.get("error", "a wrong sum")).split("\n")[0]
        yield Result(
            text=f"3 GiB on a budget of 1: {kind}",
            wanted="runs out of memory" if must_fail else "the right sum",
            measured=said[:60],
            verdict="reached" if (full if must_fail else right) else "not reached",
        )


def lines(found: Findings) -> Iterator[str]:
    """Yield everything that was found, as tables."""
    yield f"{found['date']}  {', '.join(f'{k} {v}' for k, v in found['machine'].items())}"
    yield f"no GPU: {found['why_not']}" if found["why_not"] else _card(found)
    yield from ("", *_on_host(found["on_host"]))
    if found.get("allocators"):
        yield from ("", *_allocators(found))
    if found.get("faults"):
        yield from ("", *_faults(found["faults"]))
    if found.get("nvml"):
        yield from ("", *_nvml(found["nvml"]))
    rows = [(r["text"], r["wanted"], r["measured"], r["verdict"]) for r in found["targets"]]
    yield from ("", *table.lines([("target", "wanted", "measured", ""), *rows]))


def _card(found: Findings) -> str:
    probe = found["probe"]
    device = probe["device"]["value"]
    driver, runtime = (probe[name].get("value") for name in ("driver_version", "runtime_version"))
    return (
        f"{device['name']}, {device['bytes_total'] / 2**30:.0f} GiB, compute capability "
        f"{device['compute_capability']}, CUDA {driver} (driver) and {runtime} (runtime)"
    )


def _on_host(run: Mapping[str, Any]) -> Iterator[str]:
    if "error" in run:
        yield f"the ladder on the host's memory did not run: {run['error'].splitlines()[0]}"
        return
    served = " and ".join(f"{size / 2**20:g}" for size in run["served"])
    yield f"the ladder on the host's memory, RMM {run['rmm']}: {served} MiB from its two rungs"


def _allocators(found: Findings) -> Iterator[str]:
    runs: Sequence[Mapping[str, Any]] = found["allocators"]
    names = gpu_workloads.NAMES
    head = ["allocator", "set up s"]
    for name in names:
        head += [name, f"{NOTEBOOKS_OWN} /"]
    rows = [head]
    for mode in dict.fromkeys(run["mode"] for run in runs):
        setup = figures.spread(
            [r["setup_seconds"] for r in runs if r["mode"] == mode and "setup_seconds" in r]
        )
        row = [f"  {mode}", _spelled(setup)]
        for name in names:
            times = figures.spread(list(_times(found, mode, name).values()))
            row += [_spelled(times), _spelled(ratio(found, NOTEBOOKS_OWN, mode, name))]
        rows.append(row)
    yield from table.lines(rows)
    yield from (f"  {name}: {what}" for name, what in names.items())
    for run in runs:
        wrong = [str(v["error"]) for v in run.get("workloads", {}).values() if isinstance(v, dict)]
        for error in [run["error"]] if "error" in run else wrong[:1]:
            yield f"  not counted: {run['mode']}, turn {run['turn'] + 1}: {error.splitlines()[0]}"


def _faults(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, told in found.items():
        yield f"fault: {name}"
        if "error" in told:
            yield f"  the process: {told['error']}"
            continue
        for question, answer in told.items():
            if isinstance(answer, dict):
                said = answer.get("value") if answer["ok"] else answer["error"].strip()
                yield f"  {question}: {said}"


def _nvml(found: Mapping[str, Any]) -> Iterator[str]:
    if "error" in found:
        yield f"NVML: {found['error']}"
        return
    rows = [("NVML", "median us", "longest us")]
    for name, cost in found.items():
        if isinstance(cost, dict):
            shown = (cost["median_us"], cost["max_us"]) if cost["ok"] else ("-", "-")
            rows.append((f"  {name}", f"{shown[0]}", f"{shown[1]}"))
    yield from table.lines(rows)


def _spelled(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if spread.count == 1:
        return f"{spread.median:.3g}"
    return f"{spread.median:.3g} ({spread.low:.3g}..{spread.high:.3g})"
