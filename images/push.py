"""Push images, and write their name and digests into stepkit/tekton/images.toml."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def push(builder: str, name: str, tags: Mapping[str, str], file: Path) -> None:
    """Push the image of each kind, and when all are there write ``file``."""
    digests = {kind: _push(builder, tag) for kind, tag in tags.items()}
    text = file.read_text(encoding="utf-8")
    for key, value in {"name": name, **digests}.items():
        text = re.sub(rf'^({key} = ")[^"]*"', rf'\g<1>{value}"', text, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    print(f"{file}: {name}, {', '.join(digests)}; now run `make generated`")


def _push(builder: str, tag: str) -> str:
    """Push an image and return its digest, which docker prints and the others write to a file."""
    print(f"$ {builder} push {tag}", flush=True)
    if builder == "docker":
        line = ["docker", "push", tag]
        printed = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
        found = re.search(r"digest: (sha256:[0-9a-f]{64})", printed)
        assert found, printed
        return found[1]
    with TemporaryDirectory() as directory:
        file = Path(directory, "digest")
        subprocess.run([builder, "push", f"--digestfile={file}", tag], check=True)  # noqa: S603
        return file.read_text(encoding="utf-8").strip()
