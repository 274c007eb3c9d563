from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError
from stepkit.test_suite import pyproject

LOCK = """
[[package]]
name = "one"
version = "1.0"
optional = false
groups = ["main", "test"]
markers = {main = "python_version < '4'", test = "os_name == 'posix'"}
files = [{file = "a.whl", hash = "sha256:a"}, {file = "a.tar.gz", hash = "sha256:b"}]

[[package]]
name = "extra"
version = "1"
optional = true
groups = ["main"]
files = []

[[package]]
name = "docs"
version = "1"
optional = false
groups = ["docs"]
files = []

[[package]]
name = "two"
version = "2"
optional = false
groups = ["main", "docs"]
markers = {docs = "os_name == 'nt'"}
files = [{file = "b.whl", hash = "sha256:cc"}]

[metadata]
lock-version = "2.1"
"""


def test_poetrys_lock_becomes_hashed_requirements(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poetry.group.docs]\noptional = true\n")
    (tmp_path / "poetry.lock").write_text(LOCK)
    assert pyproject.locked_by_poetry(tmp_path) == [
        "one==1.0 ; (python_version < '4') or (os_name == 'posix') --hash=sha256:a --hash=sha256:b",
        "two==2 --hash=sha256:cc",
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('lock-version = "2.1"', 'lock-version = "2.0"', "too old to be installed without it"),
        ("files = []\n\n[[", 'files = []\n[package.source]\ntype = "git"\n\n[[', "from git"),
    ],
)
def test_a_lock_that_needs_poetry_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    (tmp_path / "poetry.lock").write_text(LOCK.replace(before, after))
    with pytest.raises(ConfigurationError, match=message):
        pyproject.locked_by_poetry(tmp_path)


def test_requirements_include_those_for_tests(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "sample"\n'
        'dependencies = ["a"]\n'
        '[project.optional-dependencies]\ntest = ["b", "sample[more, test]"]\nmore = ["c"]\n'
        'gpu = ["never"]\n'
        '[dependency-groups]\ndev = ["d", {include-group = "lint"}]\nlint = ["e"]\n'
        'docs = ["never"]\n'
    )
    assert pyproject.requirements(pyproject.read(tmp_path)) == ["a", "b", "c", "d", "e"]
