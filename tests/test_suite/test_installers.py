"""Real installs from a local package index, with wheels made from our own environment."""

import json
import shutil
import subprocess
import sys
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import commands
import jsonschema
import package_index
import pytest

import stepkit
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.test_suite import add_plugins, installers, venv
from stepkit.test_suite import pytest as suite_pytest


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    (path / "tests").mkdir(parents=True)
    (path / "tests" / "test_x.py").write_text("def test_x(): pass\n")
    return path


ALL = suite_pytest.plugins(coverage=True, html=True)
CACHE = Path("/work/cache")

PROJECT = '[project]\nname = "sample"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\n'
POETRY = """
[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "local"
url = "{index}"
priority = "primary"
"""


def _poetry_project(checkout: Path, index: str, *dependencies: str) -> None:
    listed = json.dumps(list(dependencies))
    text = f"{PROJECT}dependencies = {listed}\n{POETRY.format(index=index)}"
    (checkout / "pyproject.toml").write_text(text)


def _lock(checkout: Path, tool: str) -> None:
    done = commands.python("-P", "-m", tool, "lock", cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr


def _packages(checkout: Path, wanted: str, *extra: str, **options: Any) -> installers.Packages:
    choice = installers.choose(wanted, checkout, extra)
    options = {"timeout": 120, **options}
    return installers.Packages(choice=choice, checkout=checkout, extra=extra, **options)


def _prepare(
    checkout: Path, wanted: str, environment: Path | None = None, *extra: str, **options: Any
) -> Path:
    environment = environment or checkout.with_name("environment")
    return installers.prepare(_packages(checkout, wanted, *extra, **options), environment)[0]


def _version(python: Path, module: str = "tinydep") -> str:
    return commands.run(python, "-c", f"import {module}; print({module}.VERSION)").stdout.strip()


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@pytest.mark.parametrize(
    ("files", "installer", "source", "reason"),
    [
        ({}, "none", "nothing", "the repository names no packages"),
        ({"pyproject.toml": "[tool.pytest.ini_options]"}, "none", "nothing", "no packages"),
        ({"pyproject.toml": "[tool.poetry]"}, "poetry", "poetry.lock", "[tool.poetry]"),
        ({"poetry.lock": "", "uv.lock": ""}, "poetry", "poetry.lock", "has a poetry.lock"),
        ({"uv.lock": "", "requirements.txt": ""}, "uv", "uv.lock", "has a uv.lock"),
        ({"requirements.txt": "x"}, "pip", "requirements", "has requirements.txt"),
        (
            {"pyproject.toml": PROJECT + 'dependencies = ["x"]', "requirements-dev.txt": "y"},
            "pip",
            "requirements",
            "has pyproject.toml and requirements-dev.txt",
        ),
    ],
)
def test_auto_chooses_the_installer_that_the_repository_needs(
    checkout: Path, files: dict[str, str], installer: str, source: str, reason: str
) -> None:
    for name, text in files.items():
        (checkout / name).write_text(text)
    choice = installers.choose("auto", checkout, ())
    assert (choice.installer, choice.source) == (installer, source)
    assert reason in choice.reason


def test_extra_packages_alone_need_an_environment(checkout: Path) -> None:
    assert installers.choose("auto", checkout, ["x"]).installer == "pip"
    with pytest.raises(ConfigurationError, match="none installs nothing"):
        installers.choose("none", checkout, ["x"])


def _choose_in_bare_python(checkout: Path, wanted: str = "auto") -> str:
    """Choose an installer in a Python without poetry and uv, and with neither on PATH."""
    bare = checkout.with_name("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    source = Path(stepkit.__file__).parent.parent
    packages = Path(jsonschema.__file__).parents[1]
    beside = checkout.with_name("beside")
    beside.mkdir()
    for name in ("attr", "attrs", "jsonschema", "jsonschema_specifications", "referencing", "rpds"):
        (beside / name).symlink_to(packages / name)
    (beside / "typing_extensions.py").symlink_to(packages / "typing_extensions.py")
    code = (
        "import sys; from pathlib import Path; from stepkit.test_suite import installers\n"
        "try: print(installers.choose(sys.argv[1], Path(sys.argv[2]), ()))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    env = {"PYTHONPATH": f"{source}:{beside}", "PATH": "/nowhere"}
    return commands.run(bare / "bin/python", "-c", code, wanted, checkout, env=env).stdout


def test_without_poetry_pip_installs_what_is_locked(checkout: Path) -> None:
    (checkout / "poetry.lock").touch()
    chosen = _choose_in_bare_python(checkout)
    assert "installer='pip', source='poetry.lock'" in chosen
    assert "poetry is not installed: pip installs what is locked, by hash" in chosen


def test_without_poetry_and_lock_nothing_can_be_installed(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text("[tool.poetry]")
    chosen = _choose_in_bare_python(checkout)
    assert chosen.startswith("ConfigurationError the repository has [tool.poetry]")
    assert "install poetry, or commit a poetry.lock" in chosen


def test_an_installer_that_was_asked_for_is_never_replaced(checkout: Path) -> None:
    chosen = _choose_in_bare_python(checkout, "poetry")
    assert "ConfigurationError poetry was asked for, but is not installed" in chosen


def test_without_uv_its_lock_is_not_used_and_the_reason_says_so(checkout: Path) -> None:
    (checkout / "uv.lock").touch()
    chosen = _choose_in_bare_python(checkout)
    assert "installer='pip'" in chosen
    assert "versions are NOT the locked ones" in chosen


@pytest.mark.slow
def test_poetry_installs_the_lock_and_leaves_the_checkout_as_it_was(
    checkout: Path, index: str
) -> None:
    _poetry_project(checkout, index, "tinydep (<2)", "pytest", "pytest-cov", "pytest-html")
    _lock(checkout, "poetry")
    before = _files(checkout)
    python = _prepare(checkout, "auto")
    assert _version(python) == "1.0"
    assert _files(checkout) == before
    suite_pytest.check(python, "poetry", ALL)  # pytest and both plugins are there
    marker = checkout.with_name("environment") / "kept"
    marker.touch()
    assert _prepare(checkout, "auto") == python
    assert marker.exists()  # nothing changed, so nothing was installed again


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_packages_that_poetry_cannot_install_are_installed_by_hash_from_the_same_lock(
    checkout: Path, wheels: Path
) -> None:
    with package_index.serve(wheels) as gone_later:
        _poetry_project(checkout, gone_later, "tinydep (<2)")
        _lock(checkout, "poetry")
    environment = checkout.with_name("environment")
    packages = _packages(checkout, "auto")

    python, used = installers.prepare(packages, environment)

    assert _version(python) == "1.0"
    assert used.installer == "pip"
    assert "the repository has a poetry.lock; pip, by its hashes, because poetry" in used.reason
    again, used = installers.prepare(packages, environment)
    assert (again, used.installer) == (python, "pip")
    assert used.reason.endswith("; pip, by its hashes, made the environment before")
    with pytest.raises(StepError, match="poetry install failed"):
        _prepare(checkout, "poetry", environment.with_name("other"))


@pytest.mark.slow
def test_a_changed_lock_makes_the_environment_again(checkout: Path, index: str) -> None:
    _poetry_project(checkout, index, "tinydep (<2)")
    _lock(checkout, "poetry")
    assert _version(_prepare(checkout, "poetry")) == "1.0"
    _poetry_project(checkout, index, "tinydep (>=2)")
    with pytest.raises(ConfigurationError, match="changed since poetry"):
        _prepare(checkout, "poetry")
    _lock(checkout, "poetry")
    assert _version(_prepare(checkout, "poetry")) == "2.0"


@pytest.mark.slow
def test_the_error_for_a_missing_or_broken_lock_says_how_to_lock(
    checkout: Path, index: str
) -> None:
    _poetry_project(checkout, index, "tinydep")
    with pytest.raises(ConfigurationError, match=r"there is no poetry\.lock: run `poetry lock`"):
        _prepare(checkout, "poetry")
    (checkout / "poetry.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(ConfigurationError, match=r"not locked: .*run `poetry lock`"):
        _prepare(checkout, "poetry")
    with pytest.raises(ConfigurationError, match=r"poetry\.lock is not TOML that can be read"):
        _prepare(checkout, "pip")


@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
@pytest.mark.slow
def test_poetrys_lock_is_installed_by_hash_without_poetry(
    checkout: Path, index: str, installer: str
) -> None:
    _poetry_project(checkout, index, "tinydep (<2)", 'colorama ; sys_platform == "win32"')
    _lock(checkout, "poetry")
    python = _prepare(checkout, installer)
    assert _version(python) == "1.0"
    lock = checkout / "poetry.lock"
    text = lock.read_text()
    start = text.index("sha256:", text.index('name = "tinydep"')) + len("sha256:")
    lock.write_text(text[:start] + "0" * 64 + text[start + 64 :])
    with pytest.raises(ConfigurationError, match="is not the one that was locked") as caught:
        _prepare(checkout, installer)
    assert caught.value.reason is Reason.CHECKSUM


@pytest.mark.usefixtures("index")
def test_uv_installs_its_lock_and_leaves_the_checkout_as_it_was(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(
        PROJECT + 'dependencies = ["tinydep<2"]\n[dependency-groups]\ntest = ["iniconfig"]\n'
    )
    _lock(checkout, "uv")
    before = _files(checkout)
    lock = (checkout / "uv.lock").read_bytes()
    python = _prepare(checkout, "auto")
    assert _version(python) == "1.0"
    subprocess.run([python, "-c", "import iniconfig"], check=True)
    assert _files(checkout) == before
    assert (checkout / "uv.lock").read_bytes() == lock
    (checkout / "pyproject.toml").write_text(PROJECT + 'dependencies = ["tinydep"]\n')
    (checkout / "uv.lock").write_bytes(lock.replace(b"tinydep", b"iniconfig"))
    with pytest.raises(ConfigurationError, match="run `uv lock` in the test repository"):
        _prepare(checkout, "auto")


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_pip_installs_what_pyproject_and_requirements_name(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text(PROJECT + 'dependencies = ["tinydep<2"]\n')
    (checkout / "requirements-test.txt").write_text("iniconfig\n")
    python = _prepare(checkout, "auto", None, "colorama")
    assert _version(python) == "1.0"
    subprocess.run([python, "-c", "import iniconfig, colorama"], check=True)
    named = {"pyproject.toml", "requirements-test.txt"}
    assert _files(checkout) == {"tests", "tests/test_x.py", *named}


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_a_package_that_does_not_exist_is_not_a_network_failure(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("no-such-thing\n")
    missing = "No matching distribution found for no-such-thing"
    with pytest.raises(ConfigurationError, match=missing):
        _prepare(checkout, "pip")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
@pytest.mark.usefixtures("index")
def test_installing_is_tried_again_when_the_index_is_down(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    installer: str,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (checkout / "requirements.txt").write_text("tinydep\n")
    with pytest.raises(ToolError) as caught:
        _prepare(checkout, installer, attempts=2)
    assert caught.value.reason is Reason.NETWORK
    assert "attempt 1 failed" in caplog.text
    assert not venv.is_made_from(checkout.with_name("environment"), "")


@pytest.mark.usefixtures("index")
def test_an_unfinished_environment_is_made_again(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("tinydep\n")
    environment = checkout.with_name("environment")
    venv.make(environment, with_pip=False, timeout=60)
    (environment / "left").touch()
    assert _version(_prepare(checkout, "uv", environment)) == "2.0"
    assert not (environment / "left").exists()


@pytest.mark.usefixtures("index")
def test_files_that_refer_to_others_are_installed_each_time(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("-r more.txt\n")
    (checkout / "more.txt").write_text("tinydep<2\n")
    assert _version(_prepare(checkout, "uv")) == "1.0"
    (checkout / "more.txt").write_text("tinydep\n")
    assert _version(_prepare(checkout, "uv")) == "2.0"


def test_a_directory_that_stepkit_did_not_make_is_never_replaced(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "requirements.txt").write_text("tinydep\n")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match="holds something that stepkit did not make"):
        _prepare(checkout, "pip", mine)
    link = tmp_path / "link"
    link.symlink_to(mine)
    with pytest.raises(ConfigurationError, match="is not a directory: name another --environment"):
        _prepare(checkout, "pip", link)
    assert _files(mine) == {"thesis.tex"}


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_the_error_for_an_environment_without_plugins_names_what_to_add(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("pytest\n")
    python = _prepare(checkout, "uv")
    missing = (
        r"pytest-cov, pytest-html cannot be imported .*--extra-packages pytest-cov pytest-html, "
        r"or do without: --with-coverage false --with-html false"
    )
    with pytest.raises(ConfigurationError, match=missing):
        suite_pytest.check(python, "uv", ALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[project]\ndependencies = ["--index-url=x"]', "which is not a requirement"),
        ("[project]\ndependencies = [7]", "which is not a requirement"),
        ('[dependency-groups]\ndev = [{include-group = "dev"}]', "in a circle"),
        ("[project", "is not TOML that can be read"),
    ],
)
def test_a_broken_pyproject_is_named(checkout: Path, text: str, message: str) -> None:
    (checkout / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        installers.choose("auto", checkout, ())


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_plugins_that_the_repository_does_not_name_are_added_in_the_locked_versions(
    checkout: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (checkout / "requirements.txt").write_text("tinydep<2\npytest\n")

    python = _prepare(checkout, "uv", plugins=ALL)

    suite_pytest.check(python, "uv", ALL)
    locked = dict(line.split("==") for line in add_plugins.VERSIONS.read_text().split())
    code = "from importlib.metadata import version; print(version('pytest-cov'))"
    assert commands.run(python, "-c", code).stdout.strip() == locked["pytest-cov"]
    assert _version(python) == "1.0"
    assert "the repository does not name pytest-cov, pytest-html: adding" in caplog.text


@pytest.mark.usefixtures("index")
def test_plugins_that_do_not_fit_the_repositorys_packages_change_none_of_them(
    checkout: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    (checkout / "requirements.txt").write_text("tinydep\n")
    (tmp_path / "pluggy").mkdir()
    package_index.write_small_wheel("pluggy", "0.1", tmp_path)
    wheel = tmp_path / "pluggy/pluggy-0.1-py3-none-any.whl"
    extra = f"pluggy @ file://{wheel}"

    with pytest.raises(ConfigurationError) as caught:
        _prepare(checkout, "uv", environment, extra, plugins=ALL)

    message = str(caught.value)
    assert message.startswith("pytest, pytest-cov, pytest-html cannot be added to the repository's")
    assert message.endswith(": name them in its test dependencies")
    assert _version(venv.python_in(environment), "pluggy") == "0.1"
    assert not venv.is_made_from(environment, "")


def _key(checkout: Path, *extra: str, **options: Any) -> str | None:
    return _packages(checkout, "pip", *extra, **options).cache_key(CACHE)


def test_environments_with_the_same_lock_have_the_same_key(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "uv.lock").write_text("a")
    (checkout / "pyproject.toml").write_text(PROJECT)
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    (other / "tests/test_more.py").touch()

    def key(*extra: str, **options: Any) -> str | None:
        return _packages(other, "uv", *extra, **options).cache_key(CACHE)

    same = _packages(checkout, "uv").cache_key(CACHE)
    assert key() == same
    assert key("tinydep==1.0") not in {same, None}
    assert key(plugins=ALL) not in {same, key(plugins=ALL[:2])}
    assert _packages(other, "uv").cache_key(tmp_path) != same
    assert _packages(other, "pip").cache_key(CACHE) != same
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")
    assert key() != same
    monkeypatch.undo()
    (other / "uv.lock").write_text("b")
    assert key() != same


def test_without_a_lock_versions_are_chosen_anew_each_day(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Tomorrow":
            return cls.fromtimestamp(time.time() + 86400, tz)

    (checkout / "requirements.txt").write_text("tinydep\n")
    (checkout / "uv.lock").touch()
    unlocked, locked = _key(checkout), _packages(checkout, "uv").cache_key(CACHE)
    loose = _packages(checkout, "uv", "tinydep").cache_key(CACHE)

    monkeypatch.setattr(installers, "datetime", Tomorrow)

    assert _key(checkout) != unlocked
    assert _packages(checkout, "uv").cache_key(CACHE) == locked
    assert _packages(checkout, "uv", "tinydep").cache_key(CACHE) != loose


def test_an_environment_that_depends_on_further_files_has_no_key(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("-r more.txt\n")
    assert _key(checkout) is None
    (checkout / "requirements.txt").write_text("tinydep\n")
    assert _key(checkout, "./mine") is None
    assert _key(checkout) is not None
