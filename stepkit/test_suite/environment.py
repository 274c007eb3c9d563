"""The environment in which tests run: from the cache of environments, or beside the checkout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.system import locks
from stepkit.test_suite import environment_cache, installers, pytest
from stepkit.test_suite.installers import Choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.test_suite.installers import Packages

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One that is ready: its Python, what made it, and the plugins of pytest that it has."""

    python: Path
    choice: Choice
    plugins: Sequence[str]


@contextmanager
def ready(packages: Packages, *, cache: Path | None, own: Path) -> Iterator[Environment]:
    """Yield an environment with ``packages``, which no other run changes during the block.

    ``own`` is the directory of the one that is made without a cache, and where the cache cannot be
    used. Raises :class:`stepkit.errors.StepError`.
    """
    with ExitStack() as held:
        if packages.choice.installer == "none":
            yield _make(packages, own)
            return
        made, cached = None, in_cache(packages, cache)
        for path in cached:
            using = environment_cache.using(path, lambda path: _make(packages, path))
            made = held.enter_context(using)
        if cache and not cached:
            logger.info("the environment is not cached: its packages depend on further files")
        if made is None:
            held.enter_context(locks.locked(own.with_name(f".{own.name.lstrip('.')}.lock")))
            made = _make(packages, own)
        yield made


def in_cache(packages: Packages, cache: Path | None) -> list[Path]:
    """Return the directory of the environment that :func:`ready` yields of ``cache``, if any."""
    key = packages.cache_key(cache) if cache else None
    return [cache.absolute() / key] if cache and key else []


def _make(packages: Packages, directory: Path) -> Environment:
    python, choice = installers.prepare(packages, directory)
    pytest.check(python, choice.installer, packages.plugins)
    return Environment(python=python, choice=choice, plugins=packages.plugins)
