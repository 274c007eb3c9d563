"""Directories for caches where the home directory is not writable.

With a read-only root file system, or a user id without an account, CuPy fails to compile its
kernels, Numba refuses to load what it would cache, and matplotlib and IPython start anew each
time. Each of them has a variable for its directory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLES: Final = {
    "CUDA_CACHE_PATH": "cuda",  # what the driver compiles
    "CUPY_CACHE_DIR": "cupy",
    "IPYTHONDIR": "ipython",
    "JUPYTER_RUNTIME_DIR": "jupyter",
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "XDG_CACHE_HOME": "cache",  # pip, poetry, uv, fontconfig
}
_PRIVATE: Final = stat.S_IFDIR | stat.S_IRWXU


def provide(environment: MutableMapping[str, str]) -> Path | None:
    """Point the caches at a private directory, unless the home directory is writable.

    Variables that are set stay. ``HOME`` changes only if that directory does not exist: one that
    can be read still holds the user's configuration. Returns the directory that was chosen, None
    if none is needed or no file system is writable.
    """
    home = _home(environment)
    if home and os.access(home, os.W_OK | os.X_OK):
        return None
    try:
        directory = _private_directory()
        for name in VARIABLES.values():
            (directory / name).mkdir(mode=0o700, exist_ok=True)
    except OSError:  # the tool that needs a cache reports it
        return None
    for variable, name in VARIABLES.items():
        if not environment.get(variable):
            environment[variable] = str(directory / name)
    if home is None:
        environment["HOME"] = str(directory)
    return directory


def _home(environment: MutableMapping[str, str]) -> Path | None:
    """Return the home directory if it exists; `/` is what runtimes give to unknown users."""
    try:
        home = Path(environment.get("HOME") or "~").expanduser()
    except RuntimeError:  # no HOME, and no account with that user id
        return None
    usable = home.is_absolute() and home != Path("/") and os.access(home, os.R_OK | os.X_OK)
    return home if usable and home.is_dir() else None


def _private_directory() -> Path:
    """Return a directory of this user alone: the same one each time, unless its name is taken."""
    import tempfile

    directory = Path(tempfile.gettempdir(), f"stepkit-caches-{os.geteuid()}")
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        if found.st_uid != os.geteuid() or found.st_mode != _PRIVATE:
            return Path(tempfile.mkdtemp(prefix="stepkit-caches-"))
    return directory
