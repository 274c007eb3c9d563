"""What a notebook's metadata say of it as a test: markers, limit of a cell, mocks for nbmake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def markers(notebook: Any, path: Path) -> list[str]:
    """Return ``metadata.stepkit.markers``. Raises :class:`ConfigurationError`."""
    own = notebook.metadata.get("stepkit", {})
    found = own.get("markers", []) if isinstance(own, dict) else None
    if isinstance(found, list) and all(isinstance(m, str) and m.isidentifier() for m in found):
        return found
    raise ConfigurationError(
        f'{path}: metadata.stepkit is not {{"markers": [...]}} with names of markers'
    )


def limits(notebook: Any, path: Path) -> list[str]:
    """Return the option for ``metadata.execution.timeout``, as nbclient and nbmake read it.

    It is the seconds that a cell may take; null and negative numbers are no limit. Raises
    :class:`ConfigurationError`.
    """
    execution = notebook.metadata.get("execution", {})
    if not isinstance(execution, dict) or "timeout" not in execution:
        return []
    seconds = execution["timeout"]
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise ConfigurationError(
            f"{path}: metadata.execution.timeout is {seconds!r}: write a number of seconds"
        )
    return [f"--execution-timeout={max(seconds or 0, 0)}"]


def mocks(notebook: Any, path: Path, *, has_rules: bool) -> list[dict[str, Any]]:
    """Return rules that do what nbmake does after cells with ``mock`` or ``post_cell_execute``.

    Each cell of ``notebook`` must have an id. Raises :class:`ConfigurationError` if there are such
    cells, and other rules, too.
    """
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        own = cell.metadata.get("nbmake", {})
        try:
            lines = [f"{name} = {value!r}" for name, value in own.get("mock", {}).items()]
            source = "\n".join([*lines, *own.get("post_cell_execute", [])])
        except (AttributeError, TypeError):
            raise ConfigurationError(
                f'{path}: metadata.nbmake of its cell {number} is not {{"mock": {{...}}, '
                '"post_cell_execute": [...]}'
            ) from None
        if source:
            found.append({"inject": {"after": {"id": cell.id}}, "source": source})
    if found and has_rules:
        raise ConfigurationError(
            f"{path}: its cells have mocks for nbmake, and there is a file of rules: write them "
            "there, as in `set: {epochs: 2}`, and take them out of the notebook"
        )
    return found
