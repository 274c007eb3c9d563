"""A fake of the driver's management library in the test's process; see fake_nvml.c."""

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pynvml
import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")


class FakeDriver:
    """The answers of the fake library, until :func:`installed` ends."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._values: dict[str, int] = {}

    def set(self, **values: int) -> None:
        """Change answers; ``gpu0_power_error=3`` is fake_nvml.c's ``0.power.error 3``."""
        for name, value in values.items():
            self._values[name.removeprefix("gpu").replace("_", ".")] = value
        new = self._state.with_suffix(".new")
        new.write_text("".join(f"{name} {value}\n" for name, value in self._values.items()))
        new.replace(self._state)  # the library may read it at any moment


@contextmanager
def installed(directory: Path, *flags: str) -> Iterator[FakeDriver]:
    """Let nvidia-ml-py use the fake library, built with ``flags``, in this process."""
    path, state = directory / "libnvidia-ml.so.1", directory / "nvml-state"
    path.write_bytes(built(*flags))
    os.environ["FAKE_NVML_STATE"] = str(state)
    _use(ctypes.CDLL(str(path)))
    try:
        yield FakeDriver(state)
    finally:
        _use(None)
        del os.environ["FAKE_NVML_STATE"]


@functools.cache
def built(*flags: str) -> bytes:
    """Return the fake library."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc to build the fake driver with")
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "libnvidia-ml.so.1")
        options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags]
        subprocess.run(["gcc", *options, "-o", library, SOURCE], check=True)
        return library.read_bytes()


def _use(library: ctypes.CDLL | None) -> None:
    setattr(pynvml, "nvmlLib", library)  # noqa: B010 - typed as always None
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml._nvmlLib_refcount = 0
