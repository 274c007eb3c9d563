"""Every step, by the name of its command, in the order of a pipeline."""

from typing import Final

from stepkit.step import Step
from stepkit.steps import (
    collect_artifacts,
    convert_notebook,
    execute_notebook,
    execute_notebooks,
    git_clone,
    run_tests,
    summarize,
)

STEPS: Final[dict[str, Step]] = {
    "git-clone": git_clone,
    "execute-notebook": execute_notebook,
    "execute-notebooks": execute_notebooks,
    "convert-notebook": convert_notebook,
    "run-tests": run_tests,
    "collect-artifacts": collect_artifacts,
    "summarize": summarize,
}
