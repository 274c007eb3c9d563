"""Check before the run what each notebook's own process would refuse before its first cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stepkit import rules
from stepkit.errors import StepError
from stepkit.formats import yaml_files
from stepkit.notebook import ipynb, kernelspecs, parameters
from stepkit.rules import rules_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Planned
    from stepkit.rules.rules_options import RulesOptions


_WHERE_KERNELS_ARE: Final = frozenset({"JUPYTER_PATH", "JUPYTER_DATA_DIR", "HOME"})


def resolve_variants(plan: Sequence[Planned], options: RulesOptions) -> list[Planned]:
    """Check all notebooks and return ``plan`` with the suffix of each notebook's variant.

    ``options`` say which rules may tolerate errors.
    Raises :class:`~stepkit.errors.ConfigurationError` for a kernel that is not installed, rules
    that do not fit a notebook, and a variant or a parameter that it does not have.
    """
    return [one if one.exempt else _resolve_variant(one, options) for one in plan]


def _resolve_variant(one: Planned, options: RulesOptions) -> Planned:
    settings = one.settings
    try:
        book = rules_options.load(replace(options, rules=settings.rules))
        original = ipynb.read(one.path)
        metadata = original.metadata
        if _WHERE_KERNELS_ARE & settings.env.keys():  # the notebook will see other kernels than we
            language = str(metadata.get("kernelspec", {}).get("language") or "")
        else:
            _, language = kernelspecs.choose(metadata, kernel=settings.kernel, language=None)
        patched = rules.apply(
            original,
            book,
            variant=settings.variant,
            extra_tolerances=[
                rules.parse_tolerance(text, warn=False) for text in settings.tolerate
            ],
            language=language,
        )
        given = parameters.join(
            patched.parameters,
            base64_texts=(),
            paths=(),
            yaml_texts=[yaml_files.dump(settings.parameters)],
            guessed=settings.given,
            raw=(),
        )
        if language == "python":
            parameters.check_known(patched.notebook, given)
    except StepError as error:
        raise type(error)(f"{one.name}: {error}", reason=error.reason) from error
    return replace(one, suffix=patched.suffix)
