"""Ask before the run what each notebook's own process would refuse before its first cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepkit import rules
from stepkit.errors import StepError
from stepkit.formats import yaml_files
from stepkit.notebook import ipynb, kernelspecs
from stepkit.notebook import parameters as notebook_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Planned


_WHERE_KERNELS_ARE: Final = frozenset({"JUPYTER_PATH", "JUPYTER_DATA_DIR", "HOME"})


def rehearsed(plan: Sequence[Planned]) -> list[Planned]:
    """Return ``plan`` with the suffix that each notebook's variant gives its files.

    Raises :class:`~stepkit.errors.ConfigurationError` for a kernel that is not installed, rules
    that do not fit a notebook, a variant or a parameter that it does not have.
    """
    return [one if one.exempt else _rehearsed(one) for one in plan]


def _language(one: Planned, metadata: Any) -> str:
    """Return the language of the kernel; ours are not its own where its variables say so."""
    if _WHERE_KERNELS_ARE & one.settings.env.keys():
        return str(metadata.get("kernelspec", {}).get("language") or "")
    return kernelspecs.choose(metadata, kernel=one.settings.kernel, language=None)[1]


def _rehearsed(one: Planned) -> Planned:
    settings = one.settings
    try:
        book = rules.load(settings.rules) if settings.rules else rules.EMPTY
        original = ipynb.read(one.path)
        language = _language(one, original.metadata)
        patched = rules.apply(
            original,
            book,
            variant=settings.variant,
            extra_tolerances=[rules.tolerance(text) for text in settings.tolerate],
            language=language,
        )
        given = notebook_parameters.joined(
            patched.parameters,
            base64_texts=(),
            paths=(),
            yaml_texts=[yaml_files.written(settings.parameters)],
            guessed=settings.given,
            raw=(),
        )
        if language == "python":
            notebook_parameters.check_known(patched.notebook, given)
    except StepError as error:
        raise type(error)(f"{one.name}: {error}", reason=error.reason) from error
    return replace(one, suffix=patched.suffix)
