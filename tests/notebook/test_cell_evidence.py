"""What is kept of a cell's error, of kernels that are not here, and of texts without limits."""

import pytest

from stepkit import redaction
from stepkit.formats.plain_text import plain
from stepkit.notebook import cell_evidence, traceback_text

RULE = "-" * 75
IPYTHON_7 = [
    "\x1b[0;31m" + RULE + "\x1b[0m",
    "\x1b[0;31mKeyError\x1b[0m                  Traceback (most recent call last)",
    (
        "\x1b[0;32m<ipython-input-2-0c51ea4e>\x1b[0m in \x1b[0;36m<module>\x1b[0;34m\x1b[0m\n"
        "\x1b[0;32m      1\x1b[0m \x1b[0mx\x1b[0m \x1b[0;34m=\x1b[0m \x1b[0;36m1\x1b[0m\n"
        "\x1b[0;32m----> 2\x1b[0;31m \x1b[0mload\x1b[0m\x1b[0;34m(\x1b[0m\x1b[0;34m)\x1b[0m\n"
    ),
    (
        "\x1b[0;32m<ipython-input-1-77b1ac2e>\x1b[0m in \x1b[0;36mload\x1b[0;34m()\x1b[0m\n"
        "\x1b[0;32m----> 7\x1b[0;31m \x1b[0m{}['pca']\x1b[0m\n"
    ),
    "\x1b[0;31mKeyError\x1b[0m: 'pca'",
]
IPYTHON_8_0 = [
    RULE,
    "KeyError                                  Traceback (most recent call last)",
    (
        "Input \x1b[0;32mIn [3]\x1b[0m, in \x1b[0;36m<cell line: 2>\x1b[0;34m()\x1b[0m\n"
        "      1 x = 1\n----> 2 load()\n"
    ),
    "Input In [1], in load()\n----> 7 {}['pca']\n",
    "KeyError: 'pca'",
]
JULIA = ['KeyError: key "pca" not found', "", "Stacktrace:", " [1] getindex(h::Dict)"]


def error(*traceback: str, ename: str = "KeyError", evalue: str = "'pca'") -> dict[str, object]:
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": [*traceback]}


def printed(text: str | list[str]) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": text}


@pytest.mark.parametrize(
    ("traceback", "line"), [(IPYTHON_7, 2), (IPYTHON_8_0, 2), (JULIA, None), ([], None)]
)
def test_tracebacks_of_other_kernels_are_read_as_far_as_they_say(
    traceback: list[str], line: int | None
) -> None:
    found = cell_evidence.gather("x = 1\nload()", [error(*traceback)])

    assert (found.ename, found.evalue, found.line) == ("KeyError", "'pca'", line)
    assert found.source == "x = 1\nload()"
    assert RULE not in plain(found.traceback)
    assert plain(found.traceback).endswith(plain(traceback[-1] if traceback else ""))


def test_a_function_of_an_injected_cell_is_not_taken_for_the_cell_that_called_it() -> None:
    trace = [  # both ran as In [2]: the kernel counts none that is injected
        "Cell In[2], line 3\n----> 3 load()\n",
        "Cell In[2], line 2, in load()\n----> 2     return {}['pca']\n",
        "KeyError: 'pca'",
    ]

    assert traceback_text.failed_line("x = 1\n\nload()", trace) == 3


def test_the_same_code_in_another_cell_is_not_taken_for_the_cell_that_ran() -> None:
    trace = [
        "Cell In[5], line 2\n----> 2 load()\n",
        "Cell In[3], line 9, in load()\n----> 9 x = 1\n",
    ]

    assert traceback_text.failed_line("x = 1\nload()", trace) == 2


def test_of_errors_that_caused_each_other_the_last_one_counts() -> None:
    trace = [
        "KeyError                Traceback (most recent call last)",
        "Cell In[3], line 2, in load()\n----> 2     x = {}['pca']\n",
        "KeyError: 'pca'",
        "\nDuring handling of the above exception, another exception occurred:\n",
        "ValueError              Traceback (most recent call last)",
        "Cell In[5], line 1\n----> 1 load()\n",
        "Cell In[3], line 4, in load()\n----> 4     raise ValueError\n",
        "ValueError: ",
    ]

    assert traceback_text.failed_line("load()", trace) == 1


def test_frames_of_the_kernel_are_folded_to_a_line() -> None:
    lib = "/env/lib/python3.12/site-packages"
    frames = [
        f"File \x1b[32m{lib}/IPython/core/magic.py:{n}\x1b[0m, in f(x)\n--> 1 f\n" for n in (1, 2)
    ]
    guard = "File /app/stepkit/kernel/gpu_memory/guard.py:9, in g()\n--> 9 g\n"
    own = f"File {lib}/scanpy/pca.py:3, in pca()\n--> 3 x\n"

    text, left_out = traceback_text.last_lines([*frames, own, guard, frames[0], "E: x"])

    assert left_out == 0
    assert plain(text).split("\n") == [
        "... 2 frames of IPython",
        f"File {lib}/scanpy/pca.py:3, in pca()",
        "--> 3 x",
        "... 1 frame of stepkit",
        "... 1 frame of IPython",
        "E: x",
    ]


def test_of_a_huge_traceback_the_last_lines_are_kept_and_the_rest_is_counted() -> None:
    frame = "File /a.py:1, in f()\n" + "----> 1 f()\n" * 5_000
    traceback = [frame] * 100 + ["E: " + "y" * 20_000_000 + "\n\n"]

    assert traceback_text.failed_line("f()", ["Cell In[1], line 1\n----> 1 f()", *traceback]) == 1
    text, left_out = traceback_text.last_lines(traceback)

    assert len(text.split("\n")) == 40
    assert text.endswith("\n----> 1 f()\nE: " + "y" * 997 + "...")
    assert left_out == 100 * 5_001 + 1 - 40


def test_lines_before_the_last_ones_are_counted() -> None:
    text, left_out = traceback_text.last_lines([f"line {n}\n" for n in range(100)])

    assert text.split("\n") == [f"line {n}" for n in range(60, 100)]
    assert left_out == 60


def test_of_a_long_cell_the_lines_around_the_failing_one_are_kept() -> None:
    source = "\n".join(f"step({number})" for number in range(1, 501))
    trace = "Cell In[1], line 300\n    299 step(299)\n--> 300 step(300)\n    301 step(301)\n"

    found = cell_evidence.gather(source, [error(trace)])

    lines = found.source.split("\n")
    assert found.line is not None
    assert lines[found.line - 1] == "step(300)"
    assert lines[0] == "... 199 lines before"
    assert lines[-1] == "... 101 lines after"
    assert len(lines) == 202


def test_the_last_lines_are_those_that_a_terminal_would_show() -> None:
    outputs = [
        printed("".join(f"{number}\n" for number in range(100))),
        error(ename="E"),
        printed(["10 %\r", "20 %\r30 %\n", "\x1b[31mred\x1b[0m\n", "x" * 600]),
    ]

    lines = cell_evidence.last_printed(outputs)

    assert lines[:2] == ["83", "84"]
    assert lines[-3:] == ["30 %", "red", "x" * 500 + "..."]
    assert len(lines) == 20


def test_a_secret_is_masked_before_a_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered", {"s3cret-value"})
    text = "x" * 9_994 + "s3cret-value"

    trace = [text[-1006:], "E: no"]

    found = cell_evidence.gather("", [printed(text[-506:]), error(*trace, evalue=text)])

    assert "s3cret" not in found.evalue + found.traceback + "".join(found.output)
    assert found.evalue.endswith("x***")


def test_a_syntax_error_names_no_file_that_nobody_has() -> None:
    found = cell_evidence.gather("", [error(evalue="invalid syntax (305150135.py, line 2)")])

    assert found.evalue == "invalid syntax (line 2)"


@pytest.mark.parametrize(
    ("command", "how", "stderr", "said"),
    [
        ("b'set -e\\nls /x\\n'", "returned non-zero exit status 2.", "\nls: no /x\nmore\n",
         "the script returned non-zero exit status 2: ls: no /x"),
        ("b\"echo 'a'\\n\"", "returned non-zero exit status 1.", "",
         "the script returned non-zero exit status 1"),
        ("b'kill -9 $$\\n'", "died with <Signals.SIGKILL: 9>.", "",
         "the script died with <Signals.SIGKILL: 9>"),
    ],
)  # fmt: skip
def test_a_script_that_failed_has_its_status_and_its_first_complaint(
    command: str, how: str, stderr: str, said: str
) -> None:
    evalue = f"Command '{command}' {how}"
    error = {
        "output_type": "error", "ename": "CalledProcessError", "evalue": evalue,
        "traceback": ["Traceback", evalue],
    }  # fmt: skip
    printed = {"output_type": "stream", "name": "stderr", "text": stderr}

    found = cell_evidence.gather("%%bash\nls /x", [printed, error])

    assert (found.ename, found.evalue, found.traceback) == ("CalledProcessError", said, "")
    assert found.output == tuple(stderr.rstrip("\n").split("\n") if stderr else ())


def test_a_program_that_python_called_keeps_its_command_and_traceback() -> None:
    error = {
        "output_type": "error", "ename": "CalledProcessError", "traceback": ["Traceback"],
        "evalue": "Command '['false']' returned non-zero exit status 1.",
    }  # fmt: skip

    found = cell_evidence.gather("run()", [error])

    assert found.evalue == error["evalue"]
    assert found.traceback == "Traceback"
