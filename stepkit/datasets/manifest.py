"""Read the manifest of datasets: what to download, how to verify it, and where it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from stepkit.datasets import archive_members, source_urls
from stepkit.datasets.expected_size import ExpectedSize
from stepkit.errors import ConfigurationError
from stepkit.formats import json_schema, yaml_files
from stepkit.http import safe_urls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.formats.yaml_files import Document

SCHEMA: Final = Path(__file__).with_name("manifest.schema.json")
LONGEST_NAME: Final = 200  # bytes; file systems allow 255, and scratch names are longer

_SIGNED: Final = re.compile(r"(?i)(^|&)[^=&]*(sig|token|key|secret|passw|credential)[^=&]*=")

_FLAG: Final = "--url"  # names a dataset that no manifest does

Unpack = Literal["auto", "true", "false", "tar", "zip"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One file to download; ``path`` is below the directory of all datasets.

    ``where`` is the line of the manifest, or the flag, that names it.
    """

    url: str
    path: PurePosixPath
    sha256: str | None = None
    md5: str | None = None
    size: ExpectedSize | None = None
    unpack: Unpack = "false"
    mirrors: tuple[str, ...] = ()
    auth: str | None = None
    where: str = ""

    @property
    def name(self) -> str:
        """The file's name in its URL, which shows what kind of file it is."""
        return _name(self.url)

    @property
    def promised_by(self) -> str:
        """What gave checksum and size: the manifest, or flags and the params of the Pipelines."""
        if self.where != _FLAG:
            return "the manifest"
        given = {"sha256": self.sha256, "md5": self.md5, "size": self.size}
        names = [name for name, value in given.items() if value] or ["url"]
        return " or ".join(f"--{name} (param dataset-{name} of a Pipeline)" for name in names)

    @property
    def unpacked(self) -> bool:
        """Whether it is an archive to unpack."""
        return self.unpack not in {"auto", "false"} or (
            self.unpack == "auto" and archive_members.kind_by_name(self.name) is not None
        )


def read(path: Path) -> list[Dataset]:
    """Return the datasets of a manifest in YAML or JSON.

    Raises :class:`ConfigurationError`, which names file, line and key.
    """
    document = yaml_files.read(path)
    if found := json_schema.find_problems(document.value, SCHEMA):
        raise json_schema.refusal([f"{_place(document, keys)} {wrong}" for keys, wrong in found])
    datasets = [
        _dataset(entry, _place(document, ("datasets", number)))
        for number, entry in enumerate(document.value["datasets"])
    ]
    _check_paths(datasets)
    return datasets


def from_flags(entry: dict[str, Any]) -> Dataset:
    """Return the dataset in ``entry``, whose keys are both flags and the keys of a manifest.

    Raises :class:`ConfigurationError`, which names the flag.
    """
    if found := json_schema.find_problems({"datasets": [entry]}, SCHEMA):
        keys, wrong = found[0]
        raise ConfigurationError(f"--{keys[-1]} {wrong}")
    if _SIGNED.search(entry["url"].partition("?")[2]):
        raise ConfigurationError(
            "--url holds what looks like a signature or a key, and every process on the machine "
            "can read a flag: write the URL into a manifest"
        )
    return _dataset(entry, _FLAG)


def _dataset(entry: dict[str, Any], where: str) -> Dataset:
    urls = (entry["url"], *entry.get("mirrors", ()))
    sha256, md5 = (entry.get(name, "").lower() or None for name in ("sha256", "md5"))
    unpack, auth = str(entry.get("unpack", "false")).lower(), entry.get("auth")
    try:
        source_urls.check(urls[0], auth=auth)
        for url in urls[1:]:
            of_storage = url.startswith(source_urls.STORAGE) and auth == source_urls.ANONYMOUS
            source_urls.check(url, auth=auth if of_storage else None)
        if urls[1:] and not (sha256 or md5):
            raise ConfigurationError("mirrors need a sha256: they may differ otherwise")  # noqa: TRY301 - its place is added below
        return Dataset(
            url=urls[0],
            path=_path(entry.get("path"), urls[0], unpack),
            sha256=sha256,
            md5=md5,
            size=ExpectedSize.parse(entry["size"]) if "size" in entry else None,
            unpack=cast("Unpack", unpack),  # the schema has checked it
            mirrors=urls[1:],
            auth=auth,
            where=where,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}", reason=error.reason) from error


def _place(document: Document, keys: Sequence[str | int]) -> str:
    named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{document.place(keys)}: {named.removeprefix('.') or 'the file'}"


def _name(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path.rpartition("/")[2])


def _path(given: str | None, url: str, unpack: str) -> PurePosixPath:
    """Return where a dataset goes: the path ``given``, or else the file name in ``url``."""
    name = _name(url)
    if not given and (not name or "/" in name):
        raise ConfigurationError(
            f"{safe_urls.masked(url)} does not end in a file name: give a path"
        )
    text = given or (name if unpack == "false" else archive_members.without_suffix(name))
    path = PurePosixPath(text)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ConfigurationError(f"the path {text!a} holds a control character")
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigurationError(f"the path {text!a} leads out of the directory")
    if any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_NAME for part in path.parts):
        raise ConfigurationError(
            f"the path {text[:50]!a}... has a name of more than {LONGEST_NAME} bytes: give a path"
        )
    return path


def _check_paths(datasets: Sequence[Dataset]) -> None:
    """Refuse two datasets at one path, and one below the path of another."""
    seen: dict[PurePosixPath, Dataset] = {}
    for dataset in datasets:
        if other := seen.get(dataset.path):
            raise ConfigurationError(
                f"{dataset.where}: {dataset.path} is also the path of {other.where}: give one of "
                "them another path"
            )
        seen[dataset.path] = dataset
    for dataset in datasets:
        if other := next((seen[parent] for parent in dataset.path.parents if parent in seen), None):
            raise ConfigurationError(
                f"{dataset.where}: {dataset.path} is inside of {other.path}, the path of "
                f"{other.where}"
            )
