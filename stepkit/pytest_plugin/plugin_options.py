"""What the flags, pytest's configuration and stepkit.yaml say of notebooks as tests."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from stepkit.cli import option_defaults
from stepkit.cli.config_file import ConfigFile
from stepkit.cli.parser import UsageError, build_parser
from stepkit.errors import ConfigurationError
from stepkit.options import WRITES, declared
from stepkit.step import kebab
from stepkit.steps import execute_notebook


@dataclass(frozen=True, kw_only=True)
class PluginOptions:
    """How notebooks run as tests.

    With ``compare``, the outputs of a run have to be those that the notebook has. ``arguments`` are
    options of execute-notebook, and ``has_rules`` says whether they, or defaults, name a file of
    rules; ``output`` is the directory that keeps what runs write, None if nothing is kept;
    ``config`` is the stepkit.yaml, if there is one.
    """

    by_cell: bool
    compare: bool
    arguments: tuple[str, ...]
    has_rules: bool
    output: Path | None
    config: ConfigFile | None

    def directory_of(self, notebook: Path, root: Path) -> tuple[Path, Path] | None:
        """Return the directory for what the run of ``notebook`` writes, and the file of its report.

        The directory has the path of the notebook relative to ``root``; all reports are in one
        directory, where ``summarize`` reads them. None if nothing is kept.
        """
        if not self.output:
            return None
        base = root if notebook.is_relative_to(root) else notebook.anchor
        name = notebook.relative_to(base).with_suffix("")
        # Quoted: each notebook has a report, also a/b.ipynb beside a__b.ipynb.
        return self.output / name, self.output / "reports" / f"{quote(str(name), safe='')}.json"


def read(config: pytest.Config) -> PluginOptions:
    """Return the options. Raises :class:`pytest.UsageError`."""
    given = config.option
    try:
        arguments = [*config.getini("stepkit_args"), *shlex.split(given.stepkit_args)]
        defaults = option_defaults.find(["execute-notebook", *arguments], os.environ)
    except ValueError as error:  # of shlex
        raise pytest.UsageError(f"--stepkit-args: {error}") from error
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
    flags = {word.partition("=")[0] for word in arguments}
    writes = (o for o in declared(execute_notebook.Options) if WRITES in o.notes)
    own = {"--notebook", "--report", *(f"--{kebab(option.field.name)}" for option in writes)}
    if wrong := sorted(flags & own):
        raise pytest.UsageError(
            f"--stepkit-args: {wrong[0]} names one file, and each notebook has its own: use "
            "--stepkit-output DIR"
        )
    words = ["execute-notebook", *arguments, "--notebook=a.ipynb", "--output=b.ipynb"]
    try:
        build_parser(words[0], optional=defaults.options).parse_args(words)
    except UsageError as error:
        raise pytest.UsageError(f"--stepkit-args: {error.message}") from error
    output = config.getini("stepkit_output") and config.rootpath / config.getini("stepkit_output")
    if given.stepkit_output:
        output = Path(given.stepkit_output).absolute()
    return PluginOptions(
        by_cell=given.stepkit_by_cell or config.getini("stepkit_by_cell"),
        compare=given.stepkit_compare or config.getini("stepkit_compare"),
        arguments=tuple(arguments),
        has_rules="rules" in defaults.options or "--rules" in flags,
        output=output or None,
        config=defaults.config,
    )
