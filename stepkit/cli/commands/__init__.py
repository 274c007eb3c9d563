"""Commands for people that are not a step, one module each: they have no Tekton Task.

Such a module has a step's three names (`Options`, `Outputs`, `run`) and a line in ``MODULES``.
`stepkit --help` lists it apart from the steps.
"""

from __future__ import annotations

from typing import Final

from stepkit import steps

MODULES: Final = {
    "demo": "stepkit.cli.commands.demo",
    "run-local": "stepkit.cli.commands.run_local",
    "watch": "stepkit.cli.commands.watch",
    "show": "stepkit.cli.commands.show",
    "explain": "stepkit.cli.commands.explain",
    "compare": "stepkit.cli.commands.compare",
    "compare-notebook": "stepkit.cli.commands.compare_notebook",
    "index": "stepkit.cli.commands.index",
    "mark-ended-runs": "stepkit.cli.commands.mark_ended_runs",
    "prune-runs": "stepkit.cli.commands.prune_runs",
    "schema": "stepkit.cli.commands.schema",
    "tasks": "stepkit.cli.commands.tasks",
    "init": "stepkit.cli.commands.init",
    "config": "stepkit.cli.commands.config",
    "completion": "stepkit.cli.commands.completion",
}

COMMANDS: Final = steps.Registry({**steps.MODULES, **MODULES})  # all that `stepkit` offers
