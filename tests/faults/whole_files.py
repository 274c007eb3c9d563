"""Read what a step leaves, so that two runs can be compared and a torn file is seen."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import nbformat

# What a killed step may leave until the next run: scratch, trash, a partial file, a lock, and the
# place where a checkout is made inside of its directory.
LEFTOVER: Final = re.compile(
    r"(^|.*/)(\.[^/]+\.stepkit-[a-z0-9_]{8}|\.stepkit-trash-[0-9a-f]{16}|\.stepkit-git-clone"
    r"|[^/]+\.part(\.json)?|[^/]+\.lock)(/.*)?"
)
# What a power cut may empty, because it is made anew or only shows what goes on.
NOT_DURABLE: Final = re.compile(
    r"(.*/)?(cache/[0-9a-f]{64}(\.part)?\.json|.*\.progress\.json|.*\.timeline\.json\.gz)"
)
_DIFFERS: Final = {".md", ".log"}  # from run to run, in times alone


def contents(work: Path) -> dict[str, Any]:
    """Return what is in ``work``, by relative path, without what differs from run to run.

    A .git is one thing, and the times in the names of backups are left out.
    """
    found = {}
    for root, directories, names in os.walk(work):
        here = Path(root)
        if ".git" in directories:
            directories.remove(".git")
            found[here / ".git"] = _checkout(here)
        found |= {here / name: "directory" for name in directories}
        found |= {here / name: _file(here / name) for name in names}
    paths = ((str(path.relative_to(work)), value) for path, value in found.items())
    return {re.sub(r"(?<=\.backup-)\w+", "TIME", path): value for path, value in paths}


def _checkout(path: Path) -> Any:
    """Return commit and changes of a checkout, and whether its objects have their bytes."""
    git = ["git", "--no-optional-locks", "-c", "safe.directory=*", "-C", str(path)]
    ask = ["status", "--porcelain=v2", "--branch", "--", ".", ":!.stepkit-git-clone"]
    done = subprocess.run([*git, *ask], capture_output=True, text=True, check=False)
    objects = (path / ".git/objects").rglob("*")
    whole = all(each.is_dir() or each.stat().st_size for each in objects)
    return [done.returncode, done.stdout, whole]


def _file(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if path.suffix == ".ipynb":
            notebook = nbformat.reads(data, as_version=4)
            nbformat.validate(notebook)
            return ["".join(out.get("text", "") for out in cell.outputs) for cell in notebook.cells]
        if path.name.endswith((".json", ".json.gz")):
            return sorted(json.loads(gzip.decompress(data) if path.suffix == ".gz" else data))
        if path.suffix == ".html":
            return "page" if b"</html>" in data else "torn: no </html>"
    except (OSError, ValueError, nbformat.ValidationError) as error:
        return f"torn: {type(error).__name__}"
    return "text" if path.suffix in _DIFFERS else hashlib.sha256(data).hexdigest()
