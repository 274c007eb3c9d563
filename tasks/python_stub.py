"""What ``import stepkit`` offers: the names, and for type checkers the signatures of functions."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

from stepkit.api import public_names, typed_functions
from stepkit.steps import STEPS

if TYPE_CHECKING:
    from inspect import Parameter
    from pathlib import Path

_HEAD: Final = '''\
"""Run GPU notebooks unattended: one function per pipeline step.

Made by `make generated` from the options of the steps: change those.
"""

# ruff: noqa: A002, E501, PYI021
# fmt: off

import collections.abc
import os
import threading
from typing import Any, Literal

'''


def text() -> str:
    """Return the stub: names that are imported, and the signature of each function."""
    others = [(public_names.OTHERS[name].__module__, name) for name in public_names.OTHERS]
    imports = [f"from {module} import {name} as {name}\n" for module, name in sorted(others)]
    functions = "".join(map(_function, sorted(typed_functions.NAMES)))
    return f"{_HEAD}{''.join(imports)}\n__version__: str\n{_names()}{functions}"


def with_names(module: Path) -> str:
    """Return the text of ``stepkit/__init__.py`` with ``__all__`` as it must be."""
    before, _, rest = module.read_text(encoding="utf-8").partition("__all__ = [\n")
    return before + _names() + rest.partition("]\n")[2]


def _names() -> str:
    names = sorted([*public_names.OTHERS, *typed_functions.NAMES])
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"


def _function(name: str) -> str:
    step = typed_functions.NAMES[name]
    parameters = typed_functions.signature(step).parameters.values()
    lines = "".join(f"    {_spelled(parameter)},\n" for parameter in parameters)
    first = (STEPS[step].__doc__ or "").partition("\n")[0]
    return f'\ndef {name}(\n    *,\n{lines}) -> StepResult:\n    """{first}"""\n'


def _spelled(parameter: Parameter) -> str:
    """Spell a parameter; a default that is not a literal is ``...``."""
    hint = inspect.formatannotation(parameter.annotation).replace("'", '"').replace("typing.", "")
    if optional := re.fullmatch(r"Optional\[(.*)\]", hint):
        hint = f"{optional[1]} | None"
    if parameter.default is parameter.empty:
        return f"{parameter.name}: {hint}"
    literal = isinstance(parameter.default, str | int | float | tuple | None)
    default = repr(parameter.default).replace("'", '"') if literal else "..."
    return f"{parameter.name}: {hint} = {default}"
