"""Read ``--asked-for NAME=VALUE``: what depends on a value that may be empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO: Final = {"", "false"}


def find_not_asked_for(items: Sequence[str]) -> frozenset[str]:
    """Return the names of which a value is empty or ``false``.

    A name ends at the first ``=``. Raises :class:`ConfigurationError` for anything else.
    """
    found = set()
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"--asked-for {item!r} is not NAME=VALUE")
        if value.strip().lower() in _NO:
            found.add(name)
    return frozenset(found)
