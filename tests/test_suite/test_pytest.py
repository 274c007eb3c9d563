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


@pytest.mark.parametrize("python", [Path(sys.executable), Path("/venv/bin/python")])
def test_tests_do_not_get_the_passwords_of_package_indexes(
    python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POETRY_HTTP_BASIC_LAB_PASSWORD", "POETRY_PYPI_TOKEN_LAB", "UV_INDEX_A_PASSWORD"):
        monkeypatch.setenv(name, "s3cret-of-an-index")
    monkeypatch.setenv("POETRY_HTTP_BASIC_LAB_USERNAME", "me")

    env = suite_pytest.environment(python)

    assert "s3cret-of-an-index" not in env.values()
    assert env["POETRY_HTTP_BASIC_LAB_USERNAME"] == "me"
