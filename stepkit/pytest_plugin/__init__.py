"""A pytest plugin that runs notebooks as tests: ``pytest --stepkit notebooks/``.

pytest imports this module at each start, also where no notebook is to run: it imports nothing else
of stepkit until then.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the flags, and their defaults in pytest's configuration."""
    add = parser.getgroup("stepkit", "notebooks as tests").addoption
    add("--stepkit", action="store_true", help="run .ipynb files as tests")
    add("--stepkit-by-cell", action="store_true", help="one test for each cell of a notebook")
    add(
        "--stepkit-compare",
        action="store_true",
        help="outputs have to be those that the notebook has",
    )
    add(
        "--stepkit-args",
        metavar="ARGS",
        default="",
        help="options of stepkit execute-notebook, quoted as in a shell: --stepkit-args='-p n 5'",
    )
    add("--stepkit-output", metavar="DIR", help="keep executed notebooks, pages and reports there")
    parser.addini("stepkit", "--stepkit", type="bool", default=False)
    parser.addini("stepkit_by_cell", "--stepkit-by-cell", type="bool", default=False)
    parser.addini("stepkit_compare", "--stepkit-compare", type="bool", default=False)
    parser.addini("stepkit_args", "--stepkit-args", type="args", default=[])
    parser.addini("stepkit_output", "--stepkit-output, relative to the root of the tests")


def pytest_configure(config: pytest.Config) -> None:
    """Take notebooks for tests, if that is asked for."""
    if config.option.stepkit or config.getini("stepkit"):
        from stepkit.pytest_plugin.collect_notebooks import CollectNotebooks

        config.pluginmanager.register(CollectNotebooks(config), "stepkit-notebooks")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Name the flag that was left out, where pytest takes a notebook for no test at all."""
    missing = [name for name in config.args if name.partition("::")[0].endswith(".ipynb")]
    refused = exitstatus == pytest.ExitCode.USAGE_ERROR
    if refused and missing and not config.pluginmanager.has_plugin("stepkit-notebooks"):
        terminalreporter.line(f"stepkit runs a notebook as a test with: --stepkit {missing[0]}")
