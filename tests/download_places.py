"""A directory and a cache for the tests of download-dataset, and the file they download."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from data_server import DataServer

from stepkit.errors import ConfigurationError, StepError
from stepkit.steps import download_dataset
from stepkit.steps.download_dataset import Options, Outputs
from stepkit.system import cache_directory

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Place:
    """A directory to download to, and a cache."""

    def __init__(self, root: Path, server: DataServer) -> None:
        self.server = server
        self.directory, self.cache = root / "data", root / "cache"
        self.manifest = root / "datasets.yaml"

    def options(self, *entries: dict[str, Any], **more: Any) -> Options:
        entries = entries or (self.entry(sha256=SHA256),)
        self.manifest.write_text(json.dumps({"datasets": entries}))
        given = {"manifest": self.manifest, "directory": self.directory, "cache": (self.cache,)}
        return Options(**{**given, **more})

    def run(self, *entries: dict[str, Any], **more: Any) -> Outputs:
        return download_dataset.run(self.options(*entries, **more))

    def failed(self, *entries: dict[str, Any], **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.run(*entries, **more)
        return caught.value

    def refused(self, *entries: dict[str, Any], **more: Any) -> str:
        """Return the message of the ConfigurationError that a run ends with."""
        error = self.failed(*entries, **more)
        assert type(error) is ConfigurationError
        return str(error)

    def entry(self, name: str = "census.bin", **more: Any) -> dict[str, Any]:
        """Return an entry of a manifest, without a checksum unless ``more`` has one."""
        return {"url": f"{self.server.url}/{name}", **more}

    @property
    def file(self) -> Path:
        return self.directory / "census.bin"

    @property
    def cached(self) -> Path:
        return self.cache / SHA256

    @property
    def part(self) -> Path:
        return self.cache / f"{SHA256}.part"

    def begun(self, content: bytes, etag: str = '"v1"', total: int | None = len(CONTENT)) -> None:
        """Leave the partial file of an interrupted run."""
        self.cache.mkdir(exist_ok=True)
        self.part.write_bytes(content)
        source = hashlib.sha256(f"{self.server.url}/census.bin".encode()).hexdigest()
        sidecar = {"source": source, "validator": etag, "total": total}
        self.part.with_name(f"{self.part.name}.json").write_text(json.dumps(sidecar))

    def left(self) -> list[str]:
        """Return the names of all files in cache and directory but locks and tags."""
        paths = [*self.cache.rglob("*"), *self.directory.rglob("*")]
        return sorted(
            path.name.replace(SHA256, "KEY")
            for path in paths
            if path.is_file() and path.suffix != ".lock" and path.name != cache_directory.TAG
        )
