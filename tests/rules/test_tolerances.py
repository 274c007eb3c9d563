"""A tolerance on the command line: its reason, and a declaration that just misses the error."""

import logging

import pytest

from stepkit.rules.tolerances import Tolerances, parse_tolerance


@pytest.mark.parametrize(
    ("text", "evalue", "reason"),
    [
        ("KeyError:.*pca # issue 41", ".*pca", "issue 41"),
        ("KeyError # known", "", "known"),
        ("KeyError:a # b # c", "a # b", "c"),
        ("KeyError:a#b", "a#b", "declared on the command line"),
        ("KeyError:.*pca # ", ".*pca", "declared on the command line"),
    ],
)
def test_the_reason_is_after_the_last_hash_between_blanks(
    text: str, evalue: str, reason: str
) -> None:
    declared = parse_tolerance(text)

    assert (declared.ename, declared.evalue, declared.reason) == ("KeyError", evalue, reason)


def test_a_declaration_that_just_misses_an_error_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    declared = Tolerances([(parse_tolerance("KeyError:.*pcb # known"), None)])

    with caplog.at_level(logging.WARNING):
        assert declared.accept("a", "KeyError", "'pca'\n") is None
        assert declared.accept("a", "ValueError", "'pcb'") is None

    assert caplog.messages == ["--tolerate 'KeyError:.*pcb # known' does not cover KeyError: 'pca'"]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("KeyError:.*pca # issue 41", None),
        ("KeyError # issue 41", None),
        ("KeyError:.*pca", "gives no reason"),
        ("KeyError", "tolerates every KeyError, and gives no reason"),
    ],
)
def test_a_declaration_without_a_reason_is_a_warning(
    caplog: pytest.LogCaptureFixture, text: str, warned: str | None
) -> None:
    parse_tolerance(text)

    said = f"--tolerate {text!r} {warned}: add ' # ' and why it is harmless"
    assert caplog.messages == ([said] if warned else [])
