"""Annotations as GitHub's runner and Tekton's Dashboard read them."""

import re

import pytest
from github_commands import Command, commands
from hypothesis import given
from hypothesis import strategies as st

from stepkit.cli import ci_annotations
from stepkit.errors import Place
from stepkit.system.logfile import one_line

TEXTS = st.text(alphabet=st.sampled_from("ab 1%:,=;\n\r#[]\x85\u20280ADC235"), max_size=12)
DASHBOARD = re.compile(  # its own expression, without the timestamp
    r"^(::(?P<level>error|warning|info|notice|debug)::)?(?P<message>.*)?$", re.DOTALL
)


@given(text=TEXTS, title=TEXTS, file=TEXTS, line=st.none() | st.integers(1, 9))
def test_github_reads_one_command_with_the_text_as_it_was(
    text: str, title: str, file: str, line: int | None
) -> None:
    place = Place(title=title, file=file, line=line)

    read = commands(ci_annotations.on_github("error", text, place))

    shown = {"title": title, "file": file, "line": line and str(line)}
    properties = {name: one_line(value) for name, value in shown.items() if value}
    assert read == [Command(name="error", text=one_line(text), properties=properties)]


def test_github_gets_title_file_and_line_as_parameters() -> None:
    place = Place(title="cell 12 of 40", file="a,b: c/100%.ipynb", line=7)

    line = ci_annotations.on_github("error", "it's 100 %", place)

    where = "title=cell 12 of 40,file=a%2Cb%3A c/100%25.ipynb,line=7"
    assert line == f"::error {where}::it's 100 %25"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raised KeyError: 100 %", "cell 2 of 4: raised KeyError: 100 %"),
        ("cell 2 of 4 raised KeyError", "cell 2 of 4 raised KeyError"),
        ("a\n::warning::b", r"cell 2 of 4: a\n::warning::b"),
    ],
)
def test_the_dashboard_gets_no_parameters_and_nothing_to_decode(text: str, message: str) -> None:
    line = ci_annotations.in_tekton("error", text, Place(title="cell 2 of 4", file="a.ipynb"))

    read = DASHBOARD.fullmatch(line)
    assert read
    assert (read["level"], read["message"]) == ("error", message)


def test_the_title_of_a_group_is_one_line() -> None:
    assert commands(ci_annotations.group("cell\n::error::2 %")) == [
        Command(name="group", text=r"cell\n::error::2 %")
    ]
