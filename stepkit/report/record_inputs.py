"""What a run began with, as run.json holds it: datasets, and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.redaction import redact
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json import DatasetJson, EnvironmentJson, FindingJson
    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Entry, Run

_OF_A_GPU: Final = ("index", "name", "uuid", "memory_total")
_FROM_CACHE: Final = {"cache": True, "downloaded": False}


def record_datasets(run: Run, paths: RunPaths) -> list[DatasetJson]:
    """Return each dataset that is there."""
    return [
        {
            "step": unchecked_values.line(entry.name),
            "name": unchecked_values.line(dataset["path"]),
            "url": redact(unchecked_values.line(dataset["url"])),
            "path": _in_directory(entry.output("directory"), dataset["path"], paths),
            "size": unchecked_values.whole(dataset["size"]),
            "sha256": unchecked_values.line(dataset["sha256"]) or None,
            "verified_by": unchecked_values.line(dataset.get("verified_by")) or None,
            "from_cache": _FROM_CACHE.get(dataset["came"]),
        }
        for entry in run.of_section("datasets")
        for dataset in entry.output("datasets") or ()
    ]


def record_environment(run: Run, notebooks: list[NotebookJson]) -> EnvironmentJson:
    """Return the machine as it was checked; without a check, as the first notebook saw it."""
    checked = next(iter(run.of_section("environment")), None)
    gpus = next((notebook["gpu"] for notebook in notebooks if notebook["gpu"]), None) or {}
    devices = (checked and checked.output("devices")) or unchecked_values.objects(
        gpus.get("devices")
    )
    first = devices[0] if devices else {}
    limits = (notebook["memory_limit"] for notebook in notebooks)
    return {
        "gpus": [{name: unchecked_values.tree(d.get(name)) for name in _OF_A_GPU} for d in devices],
        "driver": unchecked_values.line(
            (checked and checked.output("driver")) or first.get("driver")
        ),
        "cuda": unchecked_values.line(
            (checked and checked.output("cuda")) or first.get("cuda_driver")
        ),
        "memory_limit": next((limit for limit in limits if limit is not None), None),
        "findings": _findings(checked) if checked else [],
    }


def _findings(entry: Entry) -> list[FindingJson]:
    return [
        {
            "name": unchecked_values.line(finding["check"]),
            "level": unchecked_values.line(finding["level"]),
            "message": ": ".join(
                filter(None, map(unchecked_values.line, (finding["text"], finding.get("remedy"))))
            ),
        }
        for finding in entry.output("findings") or ()
    ]


def _in_directory(directory: Any, name: str, paths: RunPaths) -> str:
    whole = f"{directory}/{name}" if directory and isinstance(directory, str) else name
    return paths.shown(whole) or unchecked_values.line(name)
