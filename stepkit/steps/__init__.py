"""Every step, by the name of its command."""

from typing import Final

from stepkit.step import Step
from stepkit.steps import (
    collect_artifacts,
    convert_notebook,
    execute_notebook,
    git_clone,
    run_tests,
    summarize,
)

STEPS: Final[dict[str, Step]] = {
    "collect-artifacts": collect_artifacts,
    "convert-notebook": convert_notebook,
    "summarize": summarize,
    "execute-notebook": execute_notebook,
    "git-clone": git_clone,
    "run-tests": run_tests,
}
