r"""Run a Tekton Pipeline on this machine, without a cluster.

It reads the YAML that a cluster would read, and runs each step as a child process: tasks that do
not wait for each other side by side, those in `finally` whatever happened. PIPELINE is a file, or
the name of a Pipeline that comes with stepkit (`stepkit tasks` lists them). Tasks are looked up by
name in the Pipeline's file, in its directory and in the directory above. Whatever cannot run here
as it would on a cluster is refused before anything starts. `--dry-run` shows the plan, and
`PIPELINE --help` the Pipeline's params.

A first Ctrl-C ends the running tasks and still runs `finally`; a second one ends at once.

For example:

    stepkit run-local notebook-ci --workspace shared=work \
        --param notebooks-url=https://github.com/you/notebooks notebook=analysis.ipynb \
                tests-url=https://github.com/you/tests 'parameters=["n_pcs=50"]' --dry-run
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from stepkit.errors import Cancelled, ConfigurationError, StepError
from stepkit.options import DETAIL, POSITIONAL, PRINTED

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which Pipeline to run, and with what."""

    pipeline: Annotated[
        Path,
        "file with the Tekton Pipeline, or the name of one of stepkit's; write it first",
        POSITIONAL,
    ]
    param: Annotated[
        tuple[str, ...],
        'NAME=VALUE of a param; an array as JSON (NAME=["a", "b"]) or as its only item',
    ] = ()
    workspace: Annotated[
        tuple[str, ...], "NAME=DIR: the directory that a workspace is; made if missing"
    ] = ()
    secret: Annotated[
        tuple[str, ...], "NAME=DIR: a directory that stands for a Secret, one file for each key"
    ] = ()
    tasks: Annotated[
        tuple[Path, ...], "directories with Tasks (default: the Pipeline's, and the one above)"
    ] = ()
    run: Annotated[
        str,
        "name of the run: lower-case letters, digits, '-'; a new one each time "
        "(default: PIPELINE-DATE-TIME)",
    ] = ""
    resume: Annotated[
        str | None,
        "earlier run, by its name in a workspace or its directory: steps whose inputs are the same "
        "take its files instead of running again",
    ] = None
    dry_run: Annotated[bool, "print the plan on stdout, and do nothing"] = False
    jobs: Annotated[int | None, "how many tasks run at once (default: the number of CPUs)"] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How the run went."""

    run: Annotated[str, "name of the run"]
    results: Annotated[Mapping[str, Any], "the Pipeline's results, as JSON"] = field(
        default_factory=dict
    )
    plan: Annotated[str, "what would run, with --dry-run", PRINTED] = ""
    tasks: Annotated[tuple[Mapping[str, Any], ...], "how each task ended", DETAIL] = ()
    status: Annotated[
        str, "succeeded, tolerated if a failure was ignored, or flaky if a notebook ran again"
    ] = "succeeded"
    message: Annotated[str, "how many tasks succeeded"] = ""


def more_help(pipeline: Path | None, tasks: Sequence[Path] = ()) -> str:
    """Return the params of ``pipeline``, which --help stands behind, or why they are not shown."""
    from stepkit.run_local.find_tasks import load_pipeline
    from stepkit.run_local.params_text import params_text

    if not pipeline:
        return "params of a Pipeline: stepkit run-local PIPELINE --help\n"
    try:
        return params_text(load_pipeline(pipeline, tasks))
    except StepError as error:
        return f"its params are not shown: {error}\n"


def run(options: Options) -> Outputs:
    """Run the Pipeline, or show how it would run."""
    from stepkit.run_local import arguments
    from stepkit.run_local.find_tasks import load_pipeline
    from stepkit.run_local.plan import Plan
    from stepkit.run_local.plan_text import plan_text
    from stepkit.run_local.resume import find_run
    from stepkit.run_local.run import run_pipeline
    from stepkit.run_local.task_dependencies import plan_tasks

    if options.jobs is not None and options.jobs < 1:
        raise ConfigurationError(f"--jobs {options.jobs}: at least one task must run")
    pipeline = load_pipeline(options.pipeline, options.tasks)
    workspaces = arguments.workspaces(options.workspace, pipeline)
    name = arguments.run_name(options.run, pipeline, workspaces)
    plan = Plan(
        pipeline=pipeline,
        run=name,
        params=arguments.params(options.param, pipeline),
        workspaces=workspaces,
        secrets=arguments.secrets(options.secret),
        resume=find_run(options.resume, workspaces, name) if options.resume else None,
    )
    waves, last = plan_tasks(plan)
    if options.dry_run:
        count = sum(len(wave) for wave in waves) + len(last)
        return Outputs(
            run=name,
            plan=plan_text(plan, waves, last),
            message=f"a plan of {count} tasks: nothing was run",
        )
    done = run_pipeline(plan, options.jobs or len(os.sched_getaffinity(0)))
    outputs = Outputs(
        run=name,
        results=done.results,
        tasks=done.tasks,
        status=done.status,
        message=done.message,
    )
    if done.signum is not None:
        raise Cancelled(done.signum, outputs=outputs) from done.error
    if done.error:
        raise done.error.leaving(outputs)
    return outputs
