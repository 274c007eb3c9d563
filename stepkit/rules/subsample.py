"""Turn the hook anndata-subsample into the source of a cell that runs first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.kernel import hooks

if TYPE_CHECKING:
    from stepkit.rules.rule import Subsample

NAME: Final = "anndata-subsample"
_SOURCE: Final = Path(hooks.__file__).with_name("anndata_subsample.py")


def source(hook: Subsample) -> str:
    """Return a cell that defines and installs the hook, and deletes its name."""
    text = _SOURCE.read_text(encoding="utf-8")
    arguments = f"max_obs={hook.max_obs}, max_vars={hook.max_vars}, seed={hook.seed}"
    return (
        f"# Injected by stepkit: {describe(hook)}.\n"
        f"{text[text.index('class ') :]}\n\n"
        f"_StepkitAnndataSubsample({arguments}).install()\n"
        "del _StepkitAnndataSubsample"
    )


def describe(hook: Subsample) -> str:
    """Return what the hook does, in a few words."""
    sizes = [
        f"{size:,} {what}"
        for size, what in ((hook.max_obs, "rows"), (hook.max_vars, "columns"))
        if size is not None
    ]
    return f"{NAME}: what anndata reads is cut to at most {' and '.join(sizes)} (seed {hook.seed})"
