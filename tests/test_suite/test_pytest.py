import sys
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError
from stepkit.test_suite import pytest as suite_pytest


def test_an_environment_without_its_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot run .*: no program"):
        suite_pytest.check(tmp_path / "bin" / "python", "pip", ["pytest"])


def test_an_environment_of_another_prefix_is_not_trusted(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    with pytest.raises(ConfigurationError, match=f"instead of {tmp_path}"):
        suite_pytest.check(python, "pip", ["pytest"])
