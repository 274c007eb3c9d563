"""Call a function with a module each time that the module is executed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

Hook = Callable[[Any], None]
OnError = Callable[[str, BaseException], None]


class Finder:
    """Finds what the other finders find, with a loader that calls a hook afterwards.

    It stays on ``sys.meta_path``: a module that is reloaded is executed again.
    """

    def __init__(self, hooks: dict[str, Hook], on_error: OnError) -> None:
        self._hooks = hooks
        self._on_error = on_error
        self._searching = threading.local()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec for a module with a hook, None for all others."""
        hook = self._hooks.get(name)
        if hook is None or getattr(self._searching, "name", None) == name:
            return None
        self._searching.name = name  # another finder may call this one in turn
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find and finder is not self else None
                if spec is not None:
                    break
            else:
                return None
        finally:
            self._searching.name = None
        if hasattr(spec.loader, "exec_module"):
            self._extend(spec.loader, hook)
        return spec

    def _extend(self, loader: Any, hook: Hook) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            self.call(hook, module)

        try:
            loader.exec_module = exec_module
        except AttributeError as error:
            self._on_error("the import hook", error)

    def call(self, hook: Hook, module: Any) -> None:
        """Call a hook; none of its errors reaches the notebook's import."""
        try:
            hook(module)
        except Exception as error:  # the guard fails open
            self._on_error(f"the import of {module.__name__}", error)


def install(hooks: dict[str, Hook], on_error: OnError) -> None:
    """Call each hook when its module is executed, and now if it has been."""
    finder = Finder(hooks, on_error)
    sys.meta_path.insert(0, finder)
    for name, hook in hooks.items():
        if name in sys.modules:
            finder.call(hook, sys.modules[name])
