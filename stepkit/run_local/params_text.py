"""The params of a Pipeline as a text for people, for the help of run-local."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stepkit.tekton.objects import Param, Pipeline

_WIDTH: Final = 79  # characters of a line
_INDENT: Final = " " * 24


def params_text(pipeline: Pipeline) -> str:
    """Return the name, description and default of each param, those without a default first."""
    params = sorted(pipeline.params.values(), key=lambda param: param.default is not None)
    return "\n".join([f"params of {pipeline.name}:", *map(_entry, params)]) + "\n"


def _entry(param: Param) -> str:
    said = " ".join(str(param.node.value.get("description") or "").split())
    default = param.default if isinstance(param.default, str) else json.dumps(param.default)
    if param.default is None:
        said += " (required)"
    elif default:
        said += f" (default: {default})"
    lines = textwrap.wrap(
        said.strip(), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT
    ) or [""]
    head = f"  {param.name}"
    if len(head) < len(_INDENT) - 1:
        return "\n".join([head.ljust(len(_INDENT)) + lines[0].strip(), *lines[1:]]).rstrip()
    return "\n".join([head, *lines]).rstrip()
