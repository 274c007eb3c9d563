"""What the GPU side of stepkit is to reach, and the tables that people read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks import figures
from benchmarks.figures import Result, Spread
from benchmarks.gpu import over_budget
from benchmarks.gpu.allocators import ALLOCATION_HEAVY, NOTEBOOKS_OWN, WORKLOADS

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
        measured = _ratio(found, over, under, ALLOCATION_HEAVY)
        yield _judge(text, sign, bound, measured, "x")
    checks = [run["seconds"] for run in found.get("check_environment", ()) if run["code"] == 0]
    yield _judge("check-environment", "<=", _CHECK_SECONDS, figures.spread(checks), " s")
    share = found.get("sampler", {}).get("share_of_a_core")
    cost = figures.spread([] if share is None else [100 * share])
    yield _judge("the sampler, of a core", "<=", _SAMPLER_PERCENT, cost, " %")
    for kind, run in found.get("over_budget", {}).items():
        outcome = run.get("outcome", {"ok": False, "error": run.get("error", "")})
        must_fail = kind == over_budget.KINDS[0]
        right = outcome["ok"] and outcome["value"] is True
        full = not outcome["ok"] and "MemoryError" in outcome["error"]
        end = "the right sum" if right else str(outcome.get("error", "a wrong sum")).split("\n")[0]
        yield Result(
            text=f"3 GiB on a budget of 1: {kind}",
            wanted="runs out of memory" if must_fail else "the right sum",
            measured=end[:60],
            verdict="reached" if (full if must_fail else right) else "not reached",
        )


def _judge(text: str, sign: str, bound: float, measured: Spread | None, unit: str) -> Result:
    shown = f"{figures.spell(measured, '.3g')}{unit}"
    return figures.judge(text, sign, bound, measured, unit=unit, shown=shown)


def _ratio(found: Findings, over: str, under: str, workload: str) -> Spread | None:
    return figures.ratio(_times(found, over, workload), _times(found, under, workload))


def _times(found: Findings, mode: str, workload: str) -> dict[int, float]:
    return {
        run["turn"]: run["workloads"][workload]
        for run in found.get("allocators", ())
        if run["mode"] == mode and isinstance(run.get("workloads", {}).get(workload), float)
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
        yield f"the ladder on the host's memory did not run: {host['error'].splitlines()[0]}"
    else:
        served = " and ".join(f"{size / 2**20:g}" for size in host["served"])
        yield f"the ladder on the host's memory, RMM {host['rmm']}: {served} MiB from its two rungs"
    if found.get("allocators"):
        yield from ("", *_allocators(found))
    if found.get("faults"):
        yield from ("", *_faults(found["faults"]))
    if found.get("nvml"):
        yield from ("", *_nvml(found["nvml"]))
    yield from ("", *figures.target_table([Result(**r) for r in found["targets"]], "measured"))


def _allocators(found: Findings) -> Iterator[str]:
    runs: Sequence[Mapping[str, Any]] = found["allocators"]
    columns = [title for name in WORKLOADS for title in (name, f"{NOTEBOOKS_OWN} /")]
    rows = [["allocator", "set up s", *columns]]
    for mode in dict.fromkeys(run["mode"] for run in runs):
        setup = [r["setup_seconds"] for r in runs if r["mode"] == mode and "setup_seconds" in r]
        row = [f"  {mode}", figures.spell(figures.spread(setup), ".3g")]
        for name in WORKLOADS:
            times = figures.spread([*_times(found, mode, name).values()])
            row.append(figures.spell(times, ".3g"))
            row.append(figures.spell(_ratio(found, NOTEBOOKS_OWN, mode, name), ".3g"))
        rows.append(row)
    yield from figures.table(rows)
    yield from (f"  {name}: {what}" for name, (what, *_) in WORKLOADS.items())
    for run in runs:
        wrong = [str(v["error"]) for v in run.get("workloads", {}).values() if isinstance(v, dict)]
        for error in [run["error"]] if "error" in run else wrong[:1]:
            yield f"  not counted: {run['mode']}, turn {run['turn'] + 1}: {error.splitlines()[0]}"


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
