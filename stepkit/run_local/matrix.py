"""Fan one task of a Pipeline out into the combinations of its matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from stepkit.tekton import substitute_variables
from stepkit.tekton.substitute_variables import Unknown

if TYPE_CHECKING:
    from stepkit.tekton.objects import Matrix
    from stepkit.tekton.substitute_variables import Names
    from stepkit.tekton.yaml_documents import Node

MAX_COMBINATIONS: Final = 256  # Tekton's default-max-matrix-combinations-count
_TOO_MANY: Final = f"the matrix makes more than {MAX_COMBINATIONS} combinations"


def combinations(matrix: Matrix, scope: Names, node: Node) -> list[dict[str, str]]:
    """Return the params of each run, in Tekton's order: the first param varies fastest.

    A list that is known only during a run counts as one item. An empty list makes no runs.
    """
    lists: dict[str, list[str]] = {}
    for name, template in matrix.params.items():
        given = substitute_variables.value(template, scope)
        if isinstance(given, Unknown) and given.type == "array":
            given = [f"$({given.reference}[*])"]
        if not isinstance(given, list):
            raise template.error("a param of a matrix must be a list")
        lists[name] = given
    included = [
        {name: substitute_variables.text(template, scope) for name, template in entry.items()}
        for entry in matrix.include
    ]
    if math.prod(len(values) for values in lists.values()) > MAX_COMBINATIONS:
        raise node.error(_TOO_MANY)
    found: list[dict[str, str]] = [{}] if lists else included
    for name, values in lists.items():
        found = [{**known, name: value} for value in values for known in found]
    if lists and found:
        found = _with_included(found, included)
    if len(found) > MAX_COMBINATIONS:
        raise node.error(_TOO_MANY)
    return found


def _with_included(
    found: list[dict[str, str]], included: list[dict[str, str]]
) -> list[dict[str, str]]:
    """Add each included entry to the combinations that it does not contradict, or as a new one."""
    for known in found:
        for entry in included:
            if all(known.get(name, value) == value for name, value in entry.items()):
                known.update(entry)
    for entry in included:
        if not any(set(entry.items()) & set(known.items()) for known in found):
            found.append(entry)
    return found
