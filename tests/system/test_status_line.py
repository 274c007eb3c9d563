"""The status line stands below the log of a terminal, and leaves nothing behind."""

import re
import sys

import commands
import pytest
import screen

from stepkit.system import status_line

SCRIPT = """
import logging, threading, time
from stepkit.cli import log
from stepkit.system import status_line

log.configure("plain", ["s3cret"])
logger = logging.getLogger("stepkit.test")
with status_line.showing(lambda: "outer s3cret"):
    time.sleep(0.7)
    with status_line.showing(lambda: "inner\\x1b[2J " + "\\u4e16" * 80):
        threads = [
            threading.Thread(target=lambda: [logger.info("line %d", n) for n in range(50)])
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    logger.warning("half")
logger.info("end")
"""


def test_the_status_line_never_mixes_with_the_log() -> None:
    code, written, _ = screen.run([sys.executable, "-c", SCRIPT], columns=40)

    assert code == 0
    rows = screen.rows(written)
    lines = [re.sub(r"^\S+Z ", "", row[-1].strip()) for row in rows]
    assert sorted(lines) == sorted(
        [*(f"INFO line {n}" for n in range(50)) , *(f"INFO line {n}" for n in range(50)),
         "WARNING half", "INFO end"]
    )  # fmt: skip
    drawn = {text for row in rows for text in row[:-1] if text}
    inner = r"inner\x1b[2J "
    assert drawn == {"outer ***", inner + "\u4e16" * ((39 - len(inner)) // 2)}


@pytest.mark.parametrize(
    ("call", "env"),
    [
        ('log.configure("plain", [], quiet=True)', {}),
        ('log.configure("json", [])', {}),
        ('log.configure("ci", [])', {}),
        ('log.configure("plain", [])', {"TERM": "dumb"}),
    ],
)
def test_nothing_is_drawn_for_readers_that_cannot_erase(call: str, env: dict[str, str]) -> None:
    script = SCRIPT.replace('log.configure("plain", ["s3cret"])', call)

    _, written, _ = screen.run([sys.executable, "-c", script.replace("0.7", "0")], env=env)

    assert "outer" not in written
    assert "\x1b" not in written


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("abcd efgh ij", ["abcd", "efgh", "ij"]),
        ("abcd", ["abcd"]),
        ("abcdefg", ["abcd", "efg"]),
        ("ab\u6570\u636e", ["ab\u6570", "\u636e"]),
        ("a bcd", ["a", "bcd"]),
        ("", []),
    ],
)
def test_a_long_line_is_folded_at_blanks(text: str, lines: list[str]) -> None:
    assert status_line.folded(text, 4) == lines


def test_nothing_is_drawn_in_a_file() -> None:
    done = commands.python("-c", SCRIPT.replace("0.7", "0"))

    assert "outer" not in done.stderr
    assert done.stderr.count("line 49") == 2
