"""Print the script that completes stepkit's command lines in a shell.

It completes commands, flags, their choices, and files. Write it to
~/.local/share/bash-completion/completions/stepkit, for zsh to a file _stepkit in a directory of
$fpath, or to ~/.config/fish/completions/stepkit.fish.

For example:

    stepkit completion bash
    stepkit completion fish
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from stepkit.options import POSITIONAL, PRINTED

_SCRIPTS: Final = Path(__file__).parents[1] / "completion"  # made by `make generated`


@dataclass(frozen=True, kw_only=True)
class Options:
    """For which shell."""

    shell: Annotated[Literal["bash", "zsh", "fish"], "shell", POSITIONAL]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The script."""

    text: Annotated[str, "the script", PRINTED]


def run(options: Options) -> Outputs:
    """Return the script of a shell."""
    path = _SCRIPTS / f"stepkit.{options.shell}"
    return Outputs(text=path.read_text(encoding="utf-8").rstrip("\n"))
