"""A function for each step, whose signature is that of the step's options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from functools import reduce
from inspect import Parameter, Signature
from operator import or_
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

from stepkit.api.run import run
from stepkit.options import DURATION, Declared, declared
from stepkit.step import StepResult
from stepkit.steps import MODULES, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

# `stepkit.notify` is a package.
_RENAMED: Final = {"notify": "send_notification"}
NAMES: Final = {_RENAMED.get(step, step.replace("-", "_")): step for step in MODULES}


def make(name: str) -> Callable[..., StepResult]:
    """Return the function called ``name``, which runs its step by :func:`~stepkit.api.run.run`."""
    step = NAMES[name]
    known = signature(step)

    def function(*args: object, **options: object) -> StepResult:
        return run(step, **known.bind(*args, **options).arguments)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "stepkit"
    function.__signature__ = known  # type: ignore[attr-defined]
    function.__doc__ = _help(step)
    return function


def signature(step: str) -> Signature:
    """Return the options of ``step``, and what :func:`run` takes besides, as a signature."""
    options = list(declared(STEPS[step].Options))
    names = {option.field.name for option in options}
    own = [_parameter(option, names) for option in options]
    of_run = inspect.signature(run, eval_str=True)
    common = [p for p in of_run.parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    return Signature([*own, *common], return_annotation=StepResult)


def _parameter(option: Declared, names: set[str]) -> Parameter:
    hint = accepted(option)
    if f"{option.field.name}_yaml" in names:
        hint |= Mapping[str, Any]
    default = Parameter.empty if option.required else option.field.default
    return Parameter(option.field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def accepted(option: Declared) -> Any:
    """Return the type of what an option takes: also text for a path and for a duration."""
    if get_origin(option.hint) is tuple:
        item = _widened(get_args(option.hint)[0])
        return item | GenericAlias(Sequence, (item,))
    several = get_origin(option.hint) in {Union, UnionType}
    kinds = [_widened(kind) for kind in (get_args(option.hint) if several else [option.hint])]
    kinds += [str] if DURATION in option.notes else []
    return reduce(or_, sorted(kinds, key=lambda kind: kind is NoneType))


def _widened(hint: Any) -> Any:
    return str | os.PathLike[str] if hint is Path else hint


def _help(step: str) -> str:
    """Return what the command's help says of the step, and a line for each option."""
    text, _, _ = inspect.cleandoc(STEPS[step].__doc__ or "").partition("\n\nFor example:")
    lines = [f"    {o.field.name}: {o.help}" for o in declared(STEPS[step].Options)]
    return "\n".join([text, "", "Options:", *lines])
