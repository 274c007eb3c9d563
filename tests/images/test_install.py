"""Packages beside a base's, with real pip in a real environment and no index."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from images import install

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow  # each test runs pip several times


def wheel(directory: Path, name: str, version: str, *requires: str, text: str = "") -> Path:
    """Write a wheel of one module, as small as they get."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, content)
    return path


class Base:
    """An environment with pip in it, and a directory of wheels that stands for an index."""

    def __init__(self, directory: Path) -> None:
        self.python = directory / "base/bin/python"
        self.index = directory / "index"
        self.lock = directory / "lock.txt"
        self.index.mkdir()

    def has(self, name: str, version: str, *requires: str) -> None:
        self._run("-m", "pip", "install", "--no-deps", wheel(self.index, name, version, *requires))

    def locked(self, *wheels: Path) -> None:
        lines = []
        for path in wheels:
            name, version, *_ = path.name.split("-")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(
                f"{name}=={version} ; sys_platform == 'linux' \\\n    --hash=sha256:{digest}"
            )
        self.lock.write_text("# by hand\n" + "\n".join(lines) + "\n    # via nobody\n")

    def add(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        script = ROOT / "images/install.py"
        return self._run("-P", script, "--lock", self.lock, *arguments, check=False)

    def version(self, name: str) -> str:
        code = f"from importlib.metadata import version; print(version({name!r}))"
        return self._run("-c", code).stdout.strip()

    def _run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        env["PIP_CONFIG_FILE"] = "/dev/null"
        return subprocess.run(
            [self.python, *arguments], env=env, capture_output=True, text=True, check=check
        )


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with nothing but pip in it."""
    directory = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    ensurepip = ["-m", "ensurepip", "--default-pip"]
    subprocess.run([directory / "bin/python", *ensurepip], check=True, capture_output=True)
    return directory


@pytest.fixture
def base(tmp_path: Path, empty: Path) -> Base:
    shutil.copytree(empty, tmp_path / "base", symlinks=True)
    return Base(tmp_path)


def test_what_the_base_has_stays_and_what_it_lacks_comes_from_the_lock(base: Base) -> None:
    base.has("old", "1.0")
    base.locked(wheel(base.index, "old", "2.0"), wheel(base.index, "new", "3.0", "old>=1"))

    done = base.add()

    assert done.returncode == 0, done.stderr
    assert (base.version("old"), base.version("new")) == ("1.0", "3.0")
    assert done.stdout.endswith("added 1 packages (0.0 MB) to 3; none of these changed\n")


def test_a_package_that_would_have_to_change_is_named(base: Base) -> None:
    base.has("old", "1.0")
    base.locked(wheel(base.index, "new", "3.0", "old>=2"), wheel(base.index, "old", "2.0"))

    done = base.add()

    assert done.returncode == 1
    assert "(constraint) old==1.0" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last == "install: pip cannot add these packages without changing the base"
    assert base.version("old") == "1.0"


def test_a_package_that_is_named_may_change(base: Base) -> None:
    base.has("old", "1.0")
    base.locked(wheel(base.index, "new", "3.0", "old>=2"), wheel(base.index, "old", "2.0"))

    assert base.add("--may-change", "Old").returncode == 0
    assert base.version("old") == "2.0"


def test_a_wheel_that_overwrites_a_file_of_the_base_is_found(base: Base) -> None:
    base.has("old", "1.0")
    thief = wheel(base.index, "new", "3.0")
    with zipfile.ZipFile(thief, "a") as archive:
        archive.writestr("old.py", "stolen = True")
    base.locked(thief)

    done = base.add()

    assert done.returncode == 1
    assert "/site-packages/old.py was changed" in done.stderr
    assert done.stderr.splitlines()[-1] == "install: the base was changed in 1 places"


def test_a_new_complaint_of_pip_stops_the_build(base: Base) -> None:
    base.has("old", "1.0", "absent>1; extra == 'never'", "new<2")
    base.locked(wheel(base.index, "new", "3.0"))

    done = base.add("--may-change", "old")

    assert done.returncode == 1
    assert "old" in done.stderr


def test_a_package_of_the_lock_can_be_left_out(base: Base) -> None:
    base.locked(wheel(base.index, "new", "3.0"), wheel(base.index, "other", "1.0"))

    done = base.add("--leave-out", "Other")

    assert done.stdout.endswith("added 1 packages (0.0 MB) to 2; none of these changed\n")


def test_what_pip_complained_of_before_stops_nothing(base: Base) -> None:
    base.has("old", "1.0", "absent>1")
    base.locked(wheel(base.index, "new", "3.0"))

    assert base.add().returncode == 0


def test_a_wheel_with_another_hash_is_not_installed(base: Base) -> None:
    new = wheel(base.index, "new", "3.0")
    base.locked(new)
    wheel(base.index, "new", "3.0", text="changed = True")

    done = base.add()

    assert done.returncode == 1
    assert "HASHES" in done.stderr


def test_our_own_wheel_comes_with_its_tests(base: Base) -> None:
    own = wheel(base.index.parent, "stepkit", "1.0", "plain", "pytest; extra == 'tests'")
    base.locked(wheel(base.index, "plain", "1.0"), wheel(base.index, "pytest", "9.0"))

    assert base.add("--wheel", own).returncode == 0
    assert (base.version("stepkit"), base.version("pytest")) == ("1.0", "9.0")


def test_versions_that_pip_cannot_compare_are_not_constraints() -> None:
    packages = {"cudf": "26.10.0", "torch": "2.9.0+cu129", "odd": "2024a_conda"}
    assert install.constraints(packages, {"cudf"}) == ["torch==2.9.0+cu129"]
