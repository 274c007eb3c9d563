"""The step `greet` among the commands, and a log that is as before."""

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from greeting import Options, Outputs, Register, greet

from stepkit import steps
from stepkit.cli import commands


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    def register(run: Callable[[Options], Outputs]) -> None:
        step = SimpleNamespace(__doc__="Say hello.", Options=Options, Outputs=Outputs, run=run)
        monkeypatch.setitem(sys.modules, "registered_step", step)
        every = steps.Registry({**steps.MODULES, **commands.MODULES, "greet": "registered_step"})
        monkeypatch.setattr(commands, "COMMANDS", every)

    register(greet)
    return register


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Give pytest its own log handlers back after a command configured the log."""
    import logging

    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]
