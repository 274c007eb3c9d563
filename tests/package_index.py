"""A local package index on loopback, with wheels made from our own environment."""

import os
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

SERVED = ("pytest", "pytest-cov", "pytest-html", "pytest-metadata", "pluggy", "iniconfig",
          "packaging", "pygments", "coverage", "jinja2", "markupsafe")  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        pass


def pack_wheel(name: str, simple: Path) -> None:
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


def write_small_wheel(name: str, version: str, simple: Path) -> None:
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


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a package index."""
    root = tmp_path_factory.mktemp("index")
    for name in SERVED:
        pack_wheel(name, root / "simple")
    # colorama is locked for Windows and installed nowhere.
    for small, version in (("colorama", "0.4.6"), ("tinydep", "1.0"), ("tinydep", "2.0")):
        write_small_wheel(small, version, root / "simple")
    return root


@contextmanager
def serve(root: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(root))
    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/simple/"


@pytest.fixture(scope="session")
def served(wheels: Path) -> Iterator[str]:
    """Yield the URL of a package index."""
    with serve(wheels) as url:
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
