"""Whether files that stepkit wrote are what the published schemas say, and have no other key."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, get_args

from jsonschema import Draft202012Validator

from stepkit.cli.commands import schema

NAMES: tuple[schema.Name, ...] = get_args(schema.Name)
INPUTS = {"rules", "plan", "datasets"}  # people write these, without the key `schema`
PRIVATE = {"run-directory", "cache", "unpacked"}  # for stepkit alone


def closed(part: Any) -> Any:
    """Return a schema in which an object has no keys but those that it names."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: closed(value) for key, value in part.items()}
    if "object" in (found.get("type") or ()) and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


@cache
def validator(name: schema.Name) -> Any:
    return Draft202012Validator(closed(schema.load(name)))


def problems(document: Any) -> list[str]:
    """Say where ``document`` differs from the schema that it names."""
    name = document["schema"].removeprefix("stepkit.").partition("/")[0]
    assert name in NAMES, document["schema"]
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in validator(name).iter_errors(document)
    ]


def check_files(directory: Path) -> set[str]:
    """Check each file below ``directory`` that names a schema of stepkit; return their names."""
    found = {}
    for path in [*directory.rglob("*.json"), *directory.rglob("*.json.gz")]:
        content = path.read_bytes()
        document = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
        named = document.get("schema", "") if isinstance(document, dict) else ""
        kind = named.removeprefix("stepkit.").partition("/")[0]
        if kind != named and kind not in PRIVATE:
            found[path] = (kind, problems(document))
    assert {path: wrong for path, (_, wrong) in found.items() if wrong} == {}
    return {kind for kind, _ in found.values()}
