"""Cloning in the tests of git-clone, and failing to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from samples import Origin

from stepkit.errors import StepError
from stepkit.steps import git_clone
from stepkit.steps.git_clone import Options, Outputs

if TYPE_CHECKING:
    from pathlib import Path


def clone(source: Origin | str, destination: Path, **more: Any) -> Outputs:
    """Clone from a repository of the test, or from a URL."""
    url = source.url if isinstance(source, Origin) else source
    return git_clone.run(Options(url=url, destination=destination, **more))


def failed(source: Origin | str, destination: Path, **more: Any) -> StepError:
    """Return the error that :func:`clone` ends with."""
    with pytest.raises(StepError) as caught:
        clone(source, destination, **more)
    return caught.value
