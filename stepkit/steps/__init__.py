"""Every step, by the name of its command."""

from typing import Final

from stepkit.step import Step
from stepkit.steps import git_clone

STEPS: Final[dict[str, Step]] = {
    "git-clone": git_clone,
}
