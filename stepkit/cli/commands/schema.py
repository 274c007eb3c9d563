"""Print the JSON Schema of a document that stepkit writes or reads.

Without NAME it lists them all. The schema names the document, in `$id` and `title`; a document
that stepkit writes names its schema, in `schema`. Within a version, keys are only ever added.

For example:

    stepkit schema
    stepkit schema run
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from stepkit.options import POSITIONAL, PRINTED

Name = Literal[
    "report", "run", "runs", "metadata", "manifest", "timeline", "progress", "notification",
    "rules", "plan", "datasets", "config",
]  # fmt: skip

_FILES: Final[dict[Name, str]] = {
    "run": "report/run.schema.json",
    "runs": "report/index/runs.schema.json",
    "metadata": "report/metadata.schema.json",
    "manifest": "artifacts/manifest.schema.json",
    "timeline": "gpu/monitor/timeline.schema.json",
    "progress": "notebook/progress.schema.json",
    "notification": "notify/notification.schema.json",
    "rules": "rules/rules.schema.json",
    "plan": "batch/plan.schema.json",
    "datasets": "datasets/manifest.schema.json",
    "config": "cli/config.schema.json",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which schema to print."""

    name: Annotated[Name | None, "document that the schema describes", POSITIONAL] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The schema."""

    text: Annotated[str, "the schema as JSON, or the list of schemas", PRINTED]


def run(options: Options) -> Outputs:
    """Return the schema that is asked for, or the list."""
    if options.name:
        return Outputs(text=json.dumps(load(options.name), indent=2, ensure_ascii=False))
    lines = [f"{name:<14}{load(name)['title']}" for name in ("report", *_FILES)]
    return Outputs(text="\n".join(lines))


def load(name: Name) -> dict[str, Any]:
    """Return a schema by its name."""
    if name == "report":
        from stepkit.cli import report_schema

        return report_schema.schema()
    path = Path(__file__).parents[2] / _FILES[name]
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema
