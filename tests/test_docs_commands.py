"""Each command line of stepkit in the documentation is one that stepkit takes."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import mistune
import pytest

from stepkit.cli.parser import UsageError, build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *ROOT.glob("examples/*/README.md")]
PAGES.remove(ROOT / "docs/cli.md")  # its examples are those of --help, which have their own test
COMMAND = re.compile(r"^(?:\$ |[A-Z_]+=\S+ )*stepkit ([a-z][a-z-]* .*)", re.MULTILINE)
# A page shows the shape of a command, or leaves a part of it out.
SHAPE = re.compile(r"\.\.\.|…|\[options\]|\$[{(]| NAME$")

parser = cache(build_parser)
parse = mistune.create_markdown(renderer=None, plugins=["table"])


def code(tokens: list[dict[str, Any]]) -> Iterator[str]:
    for token in tokens:
        if token["type"] in {"block_code", "codespan"}:
            yield token["raw"]
        yield from code(token.get("children", []))


def command_lines(page: Path) -> Iterator[list[str]]:
    tokens = parse(page.read_text(encoding="utf-8"))
    assert isinstance(tokens, list)
    for text in code(tokens):
        for line in COMMAND.findall(re.sub(r"\\\n(> )?\s*", "", text)):
            if not SHAPE.search(line):
                words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
                words.whitespace_split = True
                yield list(takewhile(lambda word: set(word) - set("|&;<>"), words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_stepkit_takes_each_command_line_of_the_page(page: Path) -> None:
    for words in command_lines(page):
        refused = ""
        try:
            parser(words[0]).parse_args(words)
        except UsageError as error:
            refused = error.message
        except SystemExit:  # of --help
            pass
        assert not refused or "required" in refused, words  # the text may quote a part of a command
