"""Compare a run with an earlier one: verdict, times, memory, versions, tests and artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.report import compare_notebooks, compare_numbers
from stepkit.report.compare_notebooks import Limits
from stepkit.report.comparison_text import sum_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_comparison import (
        ArtifactChangeJson,
        BaselineJson,
        ComparisonJson,
        NotebookComparisonJson,
        TestsComparisonJson,
        VersionChangeJson,
    )

_PASSED: Final = {"passed", "passed with tolerated errors"}


def compare(
    run: RunJson,
    baseline: RunJson,
    earlier: Sequence[RunJson] = (),
    *,
    source: str = "",
    slower: float = compare_numbers.RATIO,
    memory: float = compare_numbers.RATIO,
) -> ComparisonJson:
    """Return how ``run`` differs from ``baseline``, which was read from ``source``.

    ``slower`` and ``memory`` are the ratios beyond which a time or a peak is worse. With the
    baseline, ``earlier`` runs on the same GPU are what the limits come from once they are five:
    see :mod:`stepkit.report.compare_numbers`.
    """
    checks = (_other_gpu, _other_notebooks, _shortened)
    notes = [note for check in checks if (note := check(run, baseline))]
    limits = Limits(slower=slower, memory=memory, same_gpu=_gpus(run) == _gpus(baseline))
    past = [baseline, *(other for other in earlier if _gpus(other) == _gpus(run))]
    past = [other for other in past if other["verdict"] in _PASSED]
    both = run["verdict"] in _PASSED and baseline["verdict"] in _PASSED
    times = baseline["duration_ms"], run["duration_ms"]
    found: ComparisonJson = {
        "baseline": describe(baseline, source),
        "commit": notebooks_commit(run),
        "runs": len(past),
        "message": "",
        "notes": notes,
        "regressions": [],
        "duration": limits.time(*times, [other["duration_ms"] for other in past])
        if both
        else compare_numbers.unknown(*times),
        "notebooks": list(_notebooks(run, baseline, past, limits)),
        "versions": [*_versions(run, baseline)],
        "tests": _tests(run, baseline),
        "artifacts": list(_artifacts(run, baseline)),
    }
    return {**found, "message": sum_up(found, run["verdict"])}


def without_baseline(why: str) -> ComparisonJson:
    """Return the comparison with a baseline that could not be read: ``why`` says what is wrong."""
    return {
        "baseline": None,
        "commit": None,
        "runs": 0,
        "message": f"not compared: {why}",
        "notes": [],
        "regressions": [],
        "duration": compare_numbers.unknown(None, None),
        "notebooks": [],
        "versions": [],
        "tests": _no_tests(None, None),
        "artifacts": [],
    }


def describe(run: RunJson, source: str) -> BaselineJson:
    """Return which run it is; its commit is that of its notebooks."""
    return {
        "source": source,
        "id": run["identity"]["id"],
        "title": run["title"],
        "started": run["started"],
        "verdict": run["verdict"],
        "commit": notebooks_commit(run),
    }


def notebooks_commit(run: RunJson) -> str | None:
    """Return the commit that the first notebook comes from.

    Where none ran, it is that of the first checkout, if all were made.
    """
    repositories = run["repositories"]
    places = [each["repository"] for each in run["notebooks"] if each["repository"] is not None]
    if places:
        return repositories[places[0]]["commit"] if places[0] < len(repositories) else None
    made = not run["not_run"] and all(each["commit"] for each in repositories)
    return repositories[0]["commit"] if repositories and made else None


def _gpus(run: RunJson) -> list[str]:
    return sorted(str(gpu.get("name", "")) for gpu in run["environment"]["gpus"])


def _other_gpu(run: RunJson, baseline: RunJson) -> str:
    now, before = (", ".join(_gpus(each)) or "no GPU" for each in (run, baseline))
    if now == before:
        return ""
    return f"times and GPU memory are not compared: {before} in the baseline, {now} now"


def _other_notebooks(run: RunJson, baseline: RunJson) -> str:
    if not run["notebooks"] or not baseline["notebooks"]:
        return ""
    if any(compare_notebooks.find_pairs(run, baseline)):
        return ""
    return "the two runs have no notebook in common"


def _shortened(run: RunJson, baseline: RunJson) -> str:
    cut = sorted({*run.get("left_out", {}), *baseline.get("left_out", {})})
    if not cut:
        return ""
    return f"what was left out of a large record counts as new or gone: {', '.join(cut)}"


def _notebooks(
    run: RunJson, baseline: RunJson, past: Sequence[RunJson], limits: Limits
) -> Iterator[NotebookComparisonJson]:
    pairs = compare_notebooks.find_pairs(run, baseline)
    earlier = [compare_notebooks.find_pairs(run, other) for other in past]
    for index, (notebook, before) in enumerate(zip(run["notebooks"], pairs, strict=True)):
        if before is None:
            yield compare_notebooks.only_in_one(index, notebook)
            continue
        same = [other for found in earlier if (other := found[index])]
        yield compare_notebooks.compare(index, notebook, before, same, limits)
    matched = [id(before) for before in pairs]
    for notebook in baseline["notebooks"]:
        if id(notebook) not in matched:
            yield compare_notebooks.only_in_one(None, notebook)


def _versions(run: RunJson, baseline: RunJson) -> Iterator[VersionChangeJson]:
    yield from _differing("", _of_machine(baseline), _of_machine(run))
    pairs = compare_notebooks.find_pairs(run, baseline)
    for notebook, before in zip(run["notebooks"], pairs, strict=True):
        if before and before["kernel"] and notebook["kernel"]:
            yield from _differing(
                notebook["name"], _of_kernel(before["kernel"]), _of_kernel(notebook["kernel"])
            )


def _differing(
    notebook: str, before: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[VersionChangeJson]:
    for name in {**now, **before}:
        was, is_now = before.get(name) or None, now.get(name) or None
        if was != is_now:
            yield {"notebook": notebook, "name": name, "before": was, "now": is_now}


def _of_machine(run: RunJson) -> dict[str, str]:
    identity, environment = run["identity"], run["environment"]
    return {
        "image": identity["image_digest"] or identity["image"] or "",
        "GPU": ", ".join(_gpus(run)),
        "driver": environment["driver"],
        "CUDA": environment["cuda"],
        **run["versions"],
    }


def _of_kernel(kernel: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Python": kernel["python"],
        "CUDA runtime": kernel["cuda_runtime"],
        **kernel["packages"],
    }


def _tests(run: RunJson, baseline: RunJson) -> TestsComparisonJson:
    before, now = _total_tests(baseline), _total_tests(run)
    if before is None or now is None:
        return _no_tests(before, now)
    failed_before, failed = _failed(baseline), _failed(run)
    skipped_before, skipped = _skipped(baseline), _skipped(run)
    return {
        "newly_failing": [name for name in failed if name not in failed_before],
        "newly_passing": [name for name in failed_before if name not in {**failed, **skipped}],
        "newly_skipped": [name for name in skipped if name not in skipped_before],
        "no_longer_skipped": [name for name in skipped_before if name not in skipped],
        "total_before": before,
        "total_now": now,
    }


def _no_tests(before: int | None, now: int | None) -> TestsComparisonJson:
    return {
        "newly_failing": [],
        "newly_passing": [],
        "newly_skipped": [],
        "no_longer_skipped": [],
        "total_before": before,
        "total_now": now,
    }


def _total_tests(run: RunJson) -> int | None:
    totals = [tests["total"] for tests in run["tests"]]
    known = [total for total in totals if total is not None]
    return sum(known) if known and len(known) == len(totals) else None


def _failed(run: RunJson) -> dict[str, None]:
    """Return the names of the failed tests, in order; a declared failure is one, too."""
    return {test["name"]: None for tests in run["tests"] for test in tests["failures"]}


def _skipped(run: RunJson) -> dict[str, None]:
    return {test["name"]: None for tests in run["tests"] for test in tests["skips"]}


def _artifacts(run: RunJson, baseline: RunJson) -> Iterator[ArtifactChangeJson]:
    before = {artifact["path"]: artifact for artifact in baseline["artifacts"]}
    now = {artifact["path"]: artifact for artifact in run["artifacts"]}
    for path, artifact in {**now, **before}.items():
        was, is_now = before.get(path), now.get(path)
        if was and is_now and was["sha256"] == is_now["sha256"]:
            continue
        yield {
            "path": path,
            "role": artifact["role"],
            "change": "new" if was is None else "gone" if is_now is None else "changed",
            "before": was["size"] if was else None,
            "now": is_now["size"] if is_now else None,
        }
