"""Build the command line of the process that executes one notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.formats import yaml_files
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.retry_options import RetryOptions
from stepkit.options import declared
from stepkit.step import kebab

if TYPE_CHECKING:
    from stepkit.batch.planned_notebook import Places, Planned
    from stepkit.rules.rules_options import RulesOptions


def arguments(
    one: Planned,
    places: Places,
    *,
    gpu: GpuOptions,
    retry: RetryOptions,
    rules: RulesOptions,
    page: bool,
    log_output: bool,
    resume: str = "",
) -> list[str]:
    """Return the arguments of ``stepkit``; the notebook's environment variables are not in them.

    Each value follows ``=``, so that a value that begins with a dash is not taken for a flag.
    A notebook with variables always runs: its proof does not cover them.
    """
    settings = one.settings
    flags: dict[str, object] = {
        "--notebook": one.path,
        "--output": places.executed(one),
        "--log": places.log(one),
        "--report": places.report(one),
        "--page": places.page(one) if page else None,
        "--parameters-yaml": yaml_files.dump(settings.parameters),
        "--rules": settings.rules,
        "--checkouts": rules.checkouts,
        "--allow-notebook-tolerance": "true" if rules.allow_notebook_tolerance else None,
        "--variant": settings.variant,
        "--kernel": settings.kernel,
        "--cwd": settings.cwd,
        "--execution-timeout": _seconds(settings.execution_timeout),
        "--run-timeout": _seconds(settings.run_timeout),
        "--log-output": "true" if log_output else None,
        "--resume": None if settings.env else resume,
    }
    shared = [
        f"--{kebab(name)}={str(value).lower() if isinstance(value, bool) else value}"
        for options, kind in ((gpu, GpuOptions), (retry, RetryOptions))
        for option in declared(kind)
        if (value := getattr(options, name := option.field.name)) != option.field.default
    ]
    return [
        "execute-notebook",
        *(f"{flag}={value}" for flag, value in flags.items() if value not in {None, ""}),
        *(f"--tolerate={text}" for text in settings.tolerate),
        *(f"--parameters={text}" for text in settings.given),
        *shared,
    ]


def _seconds(limit: float | None) -> str | None:
    return None if limit is None else f"{limit:.3f}"
