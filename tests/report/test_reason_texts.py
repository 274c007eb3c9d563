"""Every reason of a failure has a text that helps, and what the text names exists."""

import ast
import re
from pathlib import Path

import pytest

import stepkit
from stepkit import steps
from stepkit.cli import commands, flags
from stepkit.errors import ConfigurationError, Reason, ToolError, UserCodeError
from stepkit.report import reason_texts

ROOT = Path(__file__).parents[2]
FOREIGN = {"--gpus", "--memory", "--markers", "--collect-only", "--version", "--json", "--help"}


def test_every_reason_of_a_failure_has_a_text_and_no_other_word_has_one() -> None:
    assert set(reason_texts.every()) == set(Reason) - {Reason.OK}
    assert reason_texts.find("ok") is None
    assert reason_texts.find("oom") is None


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.OK}))
def test_a_text_says_what_it_means_why_and_what_to_try(reason: str) -> None:
    text = reason_texts.find(reason)

    assert text
    assert text.means.endswith(".")
    assert text.causes
    assert text.remedies
    assert not any(line.endswith(".") for line in (*text.causes, *text.remedies))
    assert all(line.count("`") % 2 == 0 for line in (text.means, *text.causes, *text.remedies))
    assert "|" not in "".join((text.means, *text.causes, *text.remedies))  # it ends a cell in docs/
    assert len({*text.causes, *text.remedies}) == len(text.causes) + len(text.remedies)


def test_every_flag_and_command_in_a_text_exists() -> None:
    known = set(FOREIGN).union(*(flags.spellings(s.Options) for s in commands.COMMANDS.values()))

    for text in reason_texts.every().values():
        for line in (text.means, *text.causes, *text.remedies):
            assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", line)) <= known, line
            for name in re.findall(r"`stepkit ([a-z][a-z-]*)", line):
                assert name in commands.COMMANDS, line
            for name in re.findall(r"of ([a-z]+-[a-z]+)$", line):
                assert name in steps.STEPS, line


def test_every_page_that_a_text_names_exists() -> None:
    pages = [text.more for text in reason_texts.every().values() if text.more]

    assert len(pages) > 5
    for page in pages:
        name, _, anchor = page.partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / name).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
        assert not anchor or anchor in anchors, page


def test_exit_codes_are_those_of_the_errors_that_are_raised() -> None:
    classes = {one.__name__: one for one in (ConfigurationError, UserCodeError, ToolError)}
    raised: dict[str, set[int]] = {}
    for path in ROOT.glob("stepkit/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in classes:
                continue
            kind = classes[ast.unparse(node.func)]
            for given in (one.value for one in node.keywords if one.arg == "reason"):
                for name in re.findall(r"Reason\.([A-Z_]+)", ast.unparse(given)):
                    raised.setdefault(Reason[name], set()).add(kind.exit_code)
    for kind in classes.values():
        raised.setdefault(kind.default_reason, set()).add(kind.exit_code)

    assert len(raised) > 15
    texts = reason_texts.every()
    del raised[Reason.CANCELLED]  # of a task of run-local, which itself ends with the signal's code
    for reason, codes in raised.items():
        assert codes - {*texts[reason].exit_codes} == set(), reason


def test_a_condition_belongs_to_a_remedy_and_is_a_regular_expression() -> None:
    conditions = [
        (text.remedies, one) for text in reason_texts.every().values() for one in text.only_about
    ]

    assert len(conditions) > 2
    assert all(one in remedies for remedies, one in conditions)
    for text in reason_texts.every().values():
        assert all(re.compile(pattern) for pattern in text.only_about.values())


@pytest.mark.parametrize(
    ("metadata", "page"),
    [
        (
            "Project-URL: Source, https://github.com/me/stepkit\n",
            f"https://github.com/me/stepkit/blob/v{stepkit.__version__}/docs/rules.md",
        ),
        ("Project-URL: Source, https://github.com/you/stepkit\n", "docs/rules.md"),
        ("", "docs/rules.md"),
    ],
)
def test_a_page_has_an_address_where_the_release_names_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str, page: str
) -> None:
    (tmp_path / "stepkit-1.dist-info").mkdir()
    (tmp_path / "stepkit-1.dist-info/METADATA").write_text(f"Name: stepkit\n{metadata}")
    monkeypatch.syspath_prepend(tmp_path)

    text = reason_texts.explanation(reason_texts.every()["early-exit"], 80)

    assert text.splitlines()[-1] == page
