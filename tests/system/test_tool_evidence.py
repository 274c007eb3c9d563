"""The last lines of a tool are evidence where they say more than the message does."""

from stepkit.errors import Evidence
from stepkit.system.tool_evidence import of_output


def test_the_last_lines_are_kept_without_blank_ones() -> None:
    printed = "".join(f"line {number}\n\n" for number in range(50))

    found = of_output(printed, message="it failed")

    assert found == Evidence(output=tuple(f"line {number}" for number in range(30, 50)))


def test_a_line_that_the_message_has_is_not_repeated() -> None:
    message = "git fetch failed: unable to access 'https://x/': timed out: check the URL"

    assert of_output("fatal: unable to access 'https://x/': timed out.\n", message=message) is None
    assert of_output("", message=message) is None


def test_neither_a_colour_nor_a_command_of_a_terminal_is_left() -> None:
    found = of_output("\x1b[31mred\x1b[0m \x1b[2J\x07\n##[error]x\n" + "y" * 5000, message="")

    assert found
    assert found.output[:2] == (r"red \x1b[2J\x07", r"#\x23[error]x")
    assert len(found.output[2]) == 500
