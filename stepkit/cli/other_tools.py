"""What to write instead of an option of papermill or nbconvert that a command does not have."""

from __future__ import annotations

import re
from typing import Final

_PAPERMILL: Final = {
    "--engine": "stepkit is the engine: leave it out",
    "--request-save-on-cell-execute": "the notebook is saved by time: --autosave-cell-every",
    "--no-request-save-on-cell-execute": "the notebook is saved by time: --autosave-cell-every",
    "--prepare-only": "a notebook is not written without running it: papermill --prepare-only does",
    "--prepare-execute": "this is what execute-notebook does: leave it out",
    "--help-notebook": "papermill --help-notebook lists parameters; here a wrong one is refused "
    "with the names that the notebook has",
    "--version": "write stepkit --version",
    "-": "a notebook is read from a file, and written to one: name them",
}
_EXECUTE_FIRST: Final = "run execute-notebook first; with its --page it makes the page, too"
_NOT_NEEDED: Final = "this is so on every page: leave it out"
_NO_CONFIGURATION: Final = "nbconvert's configuration is not read: see the options in --help"
_ONE_FILE: Final = "a page is made from a file, to a file: name them"
_NBCONVERT: Final = {
    "--execute": _EXECUTE_FIRST,
    "--allow-errors": f"{_EXECUTE_FIRST}, and --tolerate names errors to go on past",
    "--inplace": "a notebook is not changed: execute-notebook writes another one",
    "--clear-output": "a notebook is not changed: jupyter nbconvert --clear-output does that",
    "--stdin": _ONE_FILE,
    "--stdout": _ONE_FILE,
    "-": _ONE_FILE,
    "--no-prompt": "numbers of cells stay: messages name them; --no-input leaves out the code",
    "--embed-images": _NOT_NEEDED,
    "--sanitize-html": _NOT_NEEDED,
    "--sanitize_html": _NOT_NEEDED,
    "--coalesce-streams": _NOT_NEEDED,
    "--theme": "a page follows the light or dark scheme that its reader prefers",
    "--template-file": "name the directory of a template with --template",
    "--config": _NO_CONFIGURATION,
    "--generate-config": _NO_CONFIGURATION,
    "--show-config": _NO_CONFIGURATION,
    "--show-config-json": _NO_CONFIGURATION,
    "--post": "a page is a file: open it in a browser",
    "--writer": "a page is a file: --page names it",
    "--nbformat": "a page is made of every version of the format",
    "--reveal-prefix": "slides are not made: jupyter nbconvert --to slides does",
    "--allow-chromium-download": "PDF is not made: print the page in a browser",
    "--disable-chromium-sandbox": "PDF is not made: print the page in a browser",
    "--debug": "write --verbose",
    "-y": "nothing is asked: leave it out",
    "--version": "write stepkit --version",
}
_EQUIVALENTS: Final = {"execute-notebook": _PAPERMILL, "convert-notebook": _NBCONVERT}


def equivalent(flag: str, command: str) -> str:
    """Return what to write instead of ``flag``, an option of another tool; "" if unknown."""
    found = _EQUIVALENTS.get(command, {}).get(flag, "")
    if not found and command == "convert-notebook" and re.match(r"--[A-Z]\w*\.", flag):
        return _NO_CONFIGURATION
    return found
