"""What the GPU side of stepkit is to reach, and the tables that people read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks import figures
from benchmarks.figures import Result, Spread
from benchmarks.gpu import over_budget
from benchmarks.gpu.allocators import ALLOCATION_HEAVY, NOTEBOOKS_OWN, WORKLOADS, guard_problem
from benchmarks.sampler import unwatched

Findings = dict[str, Any]

# Times that the first mode takes of the second's, on the allocation-heavy workload, and the bound.
_RATIOS: Final = (
    ("a pool of RMM's, beside the notebooks' own setting", NOTEBOOKS_OWN, "rmm-pool", ">=", 10.0),
    ("--rmm-mode pool, beside the notebooks' own setting", NOTEBOOKS_OWN, "guard pool", ">=", 10.0),
    ("RMM's statistics on a pool", "rmm-pool+statistics", "rmm-pool", "<=", 1.05),
    ("the guard, beside none", "guard respect", "guard off", "<=", 1.05),
)
_CHECK_SECONDS: Final = 5.0
_SAMPLER_PERCENT: Final = 0.5  # of one core


def judge(found: Findings) -> Iterator[Result]:
    """Yield each target with what was measured for it."""
    for text, over, under, sign, bound in _RATIOS:
        measured = _ratio(found.get("allocators", ()), over, under, ALLOCATION_HEAVY)
        yield figures.judge(text, sign, bound, measured, unit="x")
    checks = [run["seconds"] for run in found.get("check_environment", ()) if run["code"] == 0]
    seconds = figures.spread(checks)
    yield figures.judge("check-environment", "<=", _CHECK_SECONDS, seconds, unit=" s")
    sampler = found.get("sampler", {})
    watched = "share_of_a_core" in sampler and not unwatched(sampler)
    cost = figures.spread([100 * sampler["share_of_a_core"]] if watched else [])
    yield figures.judge("the sampler, of a core", "<=", _SAMPLER_PERCENT, cost, unit=" %")
    for kind, run in found.get("over_budget", {}).items():
        outcome = run.get("outcome", run)
        must_fail = kind == over_budget.KINDS[0]
        right = outcome.get("value") is True
        error = outcome.get("error", "a wrong sum")
        reached = "MemoryError" in error if must_fail else right
        yield Result(
            text=f"3 GiB on a budget of 1: {kind}",
            wanted="runs out of memory" if must_fail else "the right sum",
            measured="the right sum" if right else error.splitlines()[0][:60],
            verdict="reached" if reached else "not reached",
        )


def _ratio(runs: Sequence[Findings], over: str, under: str, workload: str) -> Spread | None:
    return figures.ratio(_times(runs, over, workload), _times(runs, under, workload))


def _times(runs: Sequence[Findings], mode: str, workload: str) -> dict[int, float]:
    return {
        run["turn"]: run["workloads"][workload]
        for run in runs
        if run["mode"] == mode
        and not guard_problem(run)
        and isinstance(run.get("workloads", {}).get(workload), float)
    }


def lines(found: Findings) -> Iterator[str]:
    """Yield everything that was found, as tables."""
    yield f"{found['date']}  {', '.join(f'{k} {v}' for k, v in found['machine'].items())}"
    if found["why_not"]:
        yield f"no GPU: {found['why_not']}"
    else:
        probe = found["probe"]
        device = probe["device"]["value"]
        driver, runtime = (probe[f"{name}_version"].get("value") for name in ("driver", "runtime"))
        yield (
            f"{device['name']}, {device['bytes_total'] / 2**30:.0f} GiB, compute capability "
            f"{device['compute_capability']}, CUDA {driver} (driver) and {runtime} (runtime)"
        )
    yield ""
    host = found["on_host"]
    if "error" in host:
        yield f"a limit on the host's memory did not run: {host['error'].splitlines()[0]}"
    else:
        peak = f"{host['peak_bytes'] / 2**20:g} MiB"
        yield f"a limit of 1 MiB on the host's memory, RMM {host['rmm']}: {peak} were handed out"
    for section, show in (("allocators", _allocators), ("faults", _faults), ("nvml", _nvml)):
        if found.get(section):
            yield from ("", *show(found[section]))
    yield from ("", *figures.target_table([Result(**r) for r in found["targets"]], "measured"))


def _allocators(runs: Sequence[Findings]) -> Iterator[str]:
    columns = [title for name in WORKLOADS for title in (name, f"{NOTEBOOKS_OWN} /")]
    rows = [["allocator", "set up s", *columns]]
    for mode in dict.fromkeys(run["mode"] for run in runs):
        setup = [r["setup_seconds"] for r in runs if r["mode"] == mode and "setup_seconds" in r]
        row = [f"  {mode}", figures.spell(figures.spread(setup), ".3g")]
        for name in WORKLOADS:
            times = figures.spread([*_times(runs, mode, name).values()])
            row.append(figures.spell(times, ".3g"))
            row.append(figures.spell(_ratio(runs, NOTEBOOKS_OWN, mode, name), ".3g"))
        rows.append(row)
    yield from figures.table(rows)
    yield from (f"  {name}: {what}" for name, (what, *_) in WORKLOADS.items())
    for run in runs:
        wrong = [v["error"] for v in run.get("workloads", {}).values() if isinstance(v, dict)]
        error = run.get("error") or guard_problem(run) or (wrong[0] if wrong else "")
        if error:
            what = f"{run['mode']}, {run['workload']}, turn {run['turn'] + 1}"
            yield f"  not counted: {what}: {error.splitlines()[0]}"


def _faults(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, answers in found.items():
        yield f"fault: {name}"
        if "error" in answers:
            yield f"  the process: {answers['error']}"
            continue
        for question, answer in answers.items():
            if isinstance(answer, dict):
                shown = answer.get("value") if answer["ok"] else answer["error"].strip()
                yield f"  {question}: {shown}"


def _nvml(found: Mapping[str, Any]) -> Iterator[str]:
    if "error" in found:
        yield f"NVML: {found['error']}"
        return
    rows = [("NVML", "median us", "longest us")]
    for name, cost in found.items():
        if isinstance(cost, dict):
            shown = (cost["median_us"], cost["max_us"]) if cost["ok"] else ("-", "-")
            rows.append((f"  {name}", f"{shown[0]}", f"{shown[1]}"))
    yield from figures.table(rows)
