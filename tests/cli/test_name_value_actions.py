"""NAME and VALUE are two words, or one with =, as papermill and stepkit write them."""

import pytest
from greeting import Options, Outputs, Register

from stepkit.cli import main as cli


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--words alpha 0.6", ("alpha=0.6",)),
        ("--words alpha 0.6 --words beta 1", ("alpha=0.6", "beta=1")),
        ("-w alpha 0.6 --words beta=1", ("alpha=0.6", "beta=1")),
        ("--words alpha=0.6 beta=1", ("alpha=0.6", "beta=1")),
        ("--words alpha=0.6 rest", ("alpha=0.6", "rest")),
        ("--words one two three", ("one", "two", "three")),
        ("--words one", ("one",)),
        ("--words", ()),
    ],
)
def test_two_words_are_a_name_and_a_value(
    register: Register, given: str, words: tuple[str, ...]
) -> None:
    got = []

    def keep(options: Options) -> Outputs:
        got.append(options.words)
        return Outputs(said_words="")

    register(keep)

    assert cli.main(["greet", "--name=x", *given.split()]) == 0
    assert got == [words]


def test_a_name_with_an_empty_value_is_a_pair(register: Register) -> None:
    got = []

    def keep(options: Options) -> Outputs:
        got.append(options.words)
        return Outputs(said_words="")

    register(keep)

    assert cli.main(["greet", "--name=x", "-w", "alpha", ""]) == 0
    assert got == [("alpha=",)]
