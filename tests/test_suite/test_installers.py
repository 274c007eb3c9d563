"""Real installs from a local package index, with wheels made from our own environment."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import loopback
import pytest

import stepkit
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.test_suite import installers, venv
from stepkit.test_suite import pytest as suite_pytest

SERVED = ("pytest", "pytest-cov", "pytest-html", "pytest-metadata", "pluggy", "iniconfig",
          "packaging", "pygments", "coverage", "jinja2", "markupsafe")  # fmt: skip


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        pass


def _pack_wheel(name: str, simple: Path) -> None:
    """Pack an installed distribution into the wheel it came from."""
    found = metadata.distribution(name)
    about = (found.read_text("WHEEL") or "").splitlines()
    tag = next(line[5:] for line in about if line.startswith("Tag:"))
    folder = simple / name
    folder.mkdir(parents=True)
    stem = f"{name.replace('-', '_')}-{found.version}"
    record = []
    with zipfile.ZipFile(folder / f"{stem}-{tag.strip()}.whl", "w") as wheel:
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts or not file.hash:
                continue
            if file.name in {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}:
                continue
            wheel.write(str(file.locate()), str(file))
            record.append(f"{file},{file.hash.mode}={file.hash.value},{file.size}\n")
        name_of_record = f"{stem}.dist-info/RECORD"
        wheel.writestr(name_of_record, "".join(record) + f"{name_of_record},,\n")


def _write_small_wheel(name: str, version: str, simple: Path) -> None:
    folder = simple / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    texts = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(path, text)
        listed = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
        wheel.writestr(f"{info}/RECORD", listed)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a package index."""
    root = tmp_path_factory.mktemp("index")
    for name in SERVED:
        _pack_wheel(name, root / "simple")
    _write_small_wheel(
        "colorama", "0.4.6", root / "simple"
    )  # locked for Windows, installed nowhere
    _write_small_wheel("tinydep", "1.0", root / "simple")
    _write_small_wheel("tinydep", "2.0", root / "simple")
    return root


@contextmanager
def _serve(root: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(root))
    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/simple/"


@pytest.fixture(scope="module")
def served(wheels: Path) -> Iterator[str]:
    """Yield the URL of a package index."""
    with _serve(wheels) as url:
        yield url


@pytest.fixture
def index(served: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Let every installer see only the local index."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "POETRY_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": served,
        "PIP_RETRIES": "1",
        "PIP_CACHE_DIR": str(tmp_path / "cache" / "pip"),
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": served,
        "UV_CACHE_DIR": str(tmp_path / "cache" / "uv"),
        "POETRY_CACHE_DIR": str(tmp_path / "cache" / "poetry"),
        "POETRY_CONFIG_DIR": str(tmp_path / "cache" / "config"),
    }.items():
        monkeypatch.setenv(name, value)
    return served


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    (path / "tests").mkdir(parents=True)
    (path / "tests" / "test_x.py").write_text("def test_x(): pass\n")
    return path


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
    command = [sys.executable, "-P", "-m", tool, "lock"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _prepare(
    checkout: Path, wanted: str, environment: Path | None = None, *extra: str, attempts: int = 1
) -> Path:
    environment = environment or checkout.with_name("environment")
    choice = installers.choose(wanted, checkout, extra)
    python, _ = installers.prepare(
        choice, checkout, environment, extra_packages=extra, timeout=120, attempts=attempts
    )
    return python


def _version(python: Path, module: str = "tinydep") -> str:
    command = [str(python), "-c", f"import {module}; print({module}.VERSION)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


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
    code = (
        "import sys; from pathlib import Path; from stepkit.test_suite import installers\n"
        "try: print(installers.choose(sys.argv[1], Path(sys.argv[2]), ()))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    return subprocess.run(
        [bare / "bin" / "python", "-c", code, wanted, checkout],
        env={"PYTHONPATH": str(source), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


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
    suite_pytest.check(python, "poetry")  # pytest and both plugins are there
    marker = checkout.with_name("environment") / "kept"
    marker.touch()
    assert _prepare(checkout, "auto") == python
    assert marker.exists()  # nothing changed, so nothing was installed again


@pytest.mark.slow
def test_packages_that_poetry_cannot_install_are_installed_by_hash_from_the_same_lock(
    checkout: Path, index: str, wheels: Path
) -> None:
    assert index
    with _serve(wheels) as gone_later:
        _poetry_project(checkout, gone_later, "tinydep (<2)")
        _lock(checkout, "poetry")
    environment = checkout.with_name("environment")
    wanted: dict[str, Any] = {"extra_packages": (), "timeout": 120, "attempts": 1}
    chosen = installers.choose("auto", checkout, ())

    python, used = installers.prepare(chosen, checkout, environment, **wanted)

    assert _version(python) == "1.0"
    assert used.installer == "pip"
    assert "the repository has a poetry.lock; pip, by its hashes, because poetry" in used.reason
    again, used = installers.prepare(chosen, checkout, environment, **wanted)
    assert (again, used.installer) == (python, "pip")
    assert used.reason.endswith("; pip, by its hashes, made the environment before")
    asked = installers.choose("poetry", checkout, ())
    with pytest.raises(StepError, match="poetry install failed"):
        installers.prepare(asked, checkout, environment.with_name("other"), **wanted)


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


def test_uv_installs_its_lock_and_leaves_the_checkout_as_it_was(checkout: Path, index: str) -> None:
    assert index
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
def test_pip_installs_what_pyproject_and_requirements_name(checkout: Path, index: str) -> None:
    assert index
    (checkout / "pyproject.toml").write_text(PROJECT + 'dependencies = ["tinydep<2"]\n')
    (checkout / "requirements-test.txt").write_text("iniconfig\n")
    python = _prepare(checkout, "auto", None, "colorama")
    assert _version(python) == "1.0"
    subprocess.run([python, "-c", "import iniconfig, colorama"], check=True)
    assert _files(checkout) == {
        "tests",
        "tests/test_x.py",
        "pyproject.toml",
        "requirements-test.txt",
    }


@pytest.mark.slow
def test_a_package_that_does_not_exist_is_not_a_network_failure(checkout: Path, index: str) -> None:
    assert index
    (checkout / "requirements.txt").write_text("no-such-thing\n")
    with pytest.raises(
        ConfigurationError, match="No matching distribution found for no-such-thing"
    ):
        _prepare(checkout, "pip")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("installer", [pytest.param("pip", marks=pytest.mark.slow), "uv"])
def test_installing_is_tried_again_when_the_index_is_down(
    checkout: Path,
    index: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    installer: str,
) -> None:
    assert index
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (checkout / "requirements.txt").write_text("tinydep\n")
    with pytest.raises(ToolError) as caught:
        _prepare(checkout, installer, attempts=2)
    assert caught.value.reason is Reason.NETWORK
    assert "attempt 1 failed" in caplog.text
    assert not venv.is_made_from(checkout.with_name("environment"), "")


def test_an_unfinished_environment_is_made_again(checkout: Path, index: str) -> None:
    assert index
    (checkout / "requirements.txt").write_text("tinydep\n")
    environment = checkout.with_name("environment")
    venv.make(environment, with_pip=False, timeout=60)
    (environment / "left").touch()
    assert _version(_prepare(checkout, "uv", environment)) == "2.0"
    assert not (environment / "left").exists()


def test_files_that_refer_to_others_are_installed_each_time(checkout: Path, index: str) -> None:
    assert index
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
def test_the_error_for_an_environment_without_plugins_names_what_to_add(
    checkout: Path, index: str
) -> None:
    assert index
    (checkout / "requirements.txt").write_text("pytest\n")
    python = _prepare(checkout, "uv")
    with pytest.raises(
        ConfigurationError,
        match=r"pytest-cov, pytest-html cannot be imported .*--extra-packages pytest-cov",
    ):
        suite_pytest.check(python, "uv")


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
