"""`stepkit explain` says what a reason means, what causes it, and what to try."""

import commands
import pytest

from stepkit.cli.commands import explain
from stepkit.errors import ConfigurationError
from stepkit.report import reason_texts


def test_a_reason_is_explained_on_stdout_and_nothing_else_is_said() -> None:
    done = commands.stepkit("explain", "gpu-out-of-memory", env={"COLUMNS": "60"})

    assert (done.returncode, done.stderr) == (0, "")
    text = reason_texts.find("gpu-out-of-memory")
    assert text
    words = " ".join(done.stdout.split())
    for part in ("gpu-out-of-memory (exit code 3)", text.means, *text.causes, *text.remedies):
        assert part in words
    lines = (line for line in done.stdout.splitlines() if "://" not in line)
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("word", ["[cell-error]", "CELL_ERROR", "cell-error "])
def test_a_reason_may_be_written_as_it_was_read(word: str) -> None:
    assert explain.run(explain.Options(reason=word)).text.startswith("cell-error (exit code 3)")


def test_without_a_reason_all_are_listed_with_their_exit_codes() -> None:
    listed = " ".join(explain.run(explain.Options()).text.split())

    for text in reason_texts.every().values():
        assert f"{text.reason} {'/'.join(map(str, text.exit_codes))} {text.means}" in listed


def test_a_word_that_is_not_a_reason_leads_to_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match=r"no reason .cel-eror.: did you mean cell-error"):
        explain.run(explain.Options(reason="cel-eror"))


def test_a_word_that_is_like_none_gets_the_list() -> None:
    done = commands.stepkit("explain", "\x1b[2Jx")

    assert done.returncode == 2
    assert (
        r"there is no reason '\x1b[2jx' (known: artifact-invalid, artifact-missing, auth, "
        in done.stderr
    )
    assert "\x1b" not in done.stderr
