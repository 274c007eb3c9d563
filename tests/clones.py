"""Cloning in the tests of git-clone, and failing to."""

from pathlib import Path
from typing import Any

import pytest
from samples import Origin

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.steps import git_clone
from stepkit.steps.git_clone import Options, Outputs


def clone(repository: Origin | str, destination: Path, **more: Any) -> Outputs:
    """Clone from a repository of the test, or from a URL."""
    url = repository.url if isinstance(repository, Origin) else repository
    return git_clone.run(Options(url=url, destination=destination, **more))


def clone_keeping_work(origin: Origin, destination: Path, **more: Any) -> Path:
    """Clone over a checkout that was changed; return the backup of it."""
    backup = clone(origin, destination, **more).backup
    assert backup is not None
    return backup


def failed(
    repository: Origin | str, destination: Path, reason: Reason | None = None, **more: Any
) -> StepError:
    """Return the error that :func:`clone` ends with, and check its reason if one is given."""
    with pytest.raises(StepError) as caught:
        clone(repository, destination, **more)
    assert reason is None or caught.value.reason == reason
    return caught.value


def refused(
    repository: Origin | str, destination: Path, reason: Reason | None = None, **more: Any
) -> str:
    """Return the message of the ConfigurationError, and check its reason if one is given."""
    error = failed(repository, destination, reason, **more)
    assert type(error) is ConfigurationError
    return str(error)


def add_submodule_without_url(origin: Origin) -> None:
    """Commit a submodule named module, of which .gitmodules knows nothing."""
    module = f"160000,{origin.git('rev-parse', 'HEAD')},module"
    origin.git("update-index", "--add", "--cacheinfo", module)
    origin.git("commit", "-m", "module")


def read_files(directory: Path) -> list[bytes]:
    """Return the content of every file below ``directory``."""
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Name the destination of a clone; it does not exist yet."""
    return tmp_path / "source"


@pytest.fixture
def checkout(origin: Origin, source: Path) -> Path:
    """Return a checkout of the repository ``origin``."""
    clone(origin, source)
    return source
