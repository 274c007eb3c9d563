"""Write the files with which a repository of notebooks begins: stepkit.yaml, rules, CI.

It finds the notebooks, reads their parameters, and writes a stepkit.yaml with comments, a file of
rules, and the JSON Schemas by which an editor checks both. --ci adds the file of a CI service.
Files that exist are kept.

For example:

    stepkit init
    stepkit init --ci github --install 'stepkit[tests] @ git+https://github.com/you/stepkit@main'
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from stepkit.errors import ConfigurationError
from stepkit.options import POSITIONAL

if TYPE_CHECKING:
    from stepkit.cli.starter.scan_repository import Found

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to write, and for which CI service."""

    directory: Annotated[Path, "root of the repository (default: here)", POSITIONAL] = Path()
    ci: Annotated[
        Literal["github", "gitlab", "tekton"] | None, "write the file of this CI service, too"
    ] = None
    install: Annotated[str, "what pip installs as stepkit in the file of --ci"] = (
        "stepkit[tests] @ git+https://github.com/you/stepkit@main"
    )


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was written."""

    written: Annotated[tuple[Path, ...], "files that were written"] = ()
    kept: Annotated[tuple[Path, ...], "files that exist, and were left as they are"] = ()
    message: Annotated[str, "what was done, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Write the files that do not exist yet."""
    from stepkit.cli.starter import scan_repository
    from stepkit.system import atomic_files

    directory = options.directory
    if not options.install.isprintable():
        raise ConfigurationError("--install holds a line break or another control character")
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory {directory}")
    above = directory.absolute().parents if not (directory / ".git").exists() else ()
    if root := next((each for each in above if (each / ".git").exists()), None):
        raise ConfigurationError(f"{directory} is not the root of its repository: that is {root}")
    found = scan_repository.scan(directory)
    written, kept = [], []
    for name, text in _files(options, found).items():
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ConfigurationError(f"{path} leads out of the repository, by a link")
        if os.path.lexists(path):
            kept.append(path)
            continue
        atomic_files.write_atomically(path, text)
        written.append(path)
        logger.info("written: %s", path)
        _warn_of_placeholders(path, text)
    for path in kept:
        logger.info("kept as it is: %s", path)
    message = f"notebooks found: {len(found.notebooks)}, files written: {len(written)}"
    if kept:
        message += f", kept as they were: {len(kept)}"
    return Outputs(written=tuple(written), kept=tuple(kept), message=message)


def _warn_of_placeholders(path: Path, text: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.search(r"github\.com/you/\w+", line):
            logger.warning(
                "%s, line %d: %s is a placeholder: name your clone there", path, number, found[0]
            )


def _files(options: Options, found: Found) -> dict[str, str]:
    """Return the text of each file by its path in the repository."""
    import json

    from stepkit.cli.commands import schema
    from stepkit.cli.starter import fill_templates

    files = {"stepkit.yaml": fill_templates.config(found)}
    files["stepkit-rules.yaml"] = fill_templates.rules()
    names: tuple[schema.Name, ...] = ("config", "rules")
    for name in names:
        text = json.dumps(schema.load(name), indent=2, ensure_ascii=False)
        files[f".stepkit/{name}.schema.json"] = text + "\n"
    if options.ci:
        text = fill_templates.ci(options.ci, found, options.install)
        files[fill_templates.CI_FILES[options.ci]] = text
    return files
