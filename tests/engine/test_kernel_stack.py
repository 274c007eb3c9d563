"""Stacks that faulthandler printed, among other lines of a kernel's process."""

import pytest

from stepkit.engine import kernel_stack
from stepkit.engine.kernel_stack import Stack

LIB = "/env/lib/python3.12"
MAIN = [
    f'  File "{LIB}/threading.py", line 327 in wait',
    '  File "/tmp/ipykernel_71/1111.py", line 4 in load',  # of an earlier cell
    '  File "/tmp/ipykernel_71/2222.py", line 2 in <lambda>',
    '  File "/tmp/ipykernel_71/2222.py", line 9 in <module>',
    f'  File "{LIB}/site-packages/IPython/core/interactiveshell.py", line 3701 in run_code',
    f'  File "{LIB}/site-packages/ipykernel/kernelapp.py", line 739 in start',
    '  File "/app/stepkit/kernel/launcher.py", line 161 in main',
]
HEARTBEAT = [
    f'  File "{LIB}/site-packages/ipykernel/heartbeat.py", line 106 in run',
    f'  File "{LIB}/threading.py", line 1073 in _bootstrap_inner',
]
WORKER = [
    f'  File "{LIB}/site-packages/dask/worker.py", line 8 in fetch',
    f'  File "{LIB}/threading.py", line 1010 in run',
]
DUMP = [
    "Thread 0x00007f0000000001 (most recent call first):",
    *HEARTBEAT,
    "",
    "Thread 0x00007f0000000002 [worker] (most recent call first):",
    *WORKER,
    "",
    "Thread 0x00007f0000000003 (most recent call first):",
    *MAIN,
]
CRASH = [
    "Fatal Python error: Segmentation fault",
    "",
    "Current thread 0x00007f0000000003 (most recent call first):",
    *MAIN,
    "",
    "Extension modules: numpy.core, zmq (total: 2)",
]


def found(lines: list[str], *, fatal: bool = False) -> list[str]:
    return [lines[number] for number in kernel_stack.find(lines, fatal=fatal)]


def test_the_threads_of_the_notebook_are_shown_and_those_of_the_kernel_counted() -> None:
    assert kernel_stack.read(DUMP, "cell 12") == Stack(
        "Thread (most recent call first):\n"
        f'  File "{LIB}/site-packages/dask/worker.py", line 8 in fetch\n'
        f'  File "{LIB}/threading.py", line 1010 in run\n'
        "Thread (most recent call first):\n"
        f'  File "{LIB}/threading.py", line 327 in wait\n'
        '  File "another cell", line 4 in load\n'
        '  File "cell 12", line 2 in <lambda>\n'
        '  File "cell 12", line 9 in <module>\n'
        "  ... 3 frames of the kernel\n"
        "... and 1 other thread",
        line=2,
    )


def test_a_stack_is_found_among_what_else_was_printed() -> None:
    lines = ["loaded", *DUMP, "", "done", ""]

    assert found(lines) == [*DUMP, ""]
    assert found(lines, fatal=True) == []


def test_of_several_stacks_the_last_one_counts() -> None:
    later = [line.replace("2222", "3333") for line in DUMP]

    assert found([*DUMP, "interrupted", *later]) == later
    assert found(["Current thread of work", "File a"]) == []


@pytest.mark.parametrize("rest", [[], ["Aborted (core dumped)"]])
def test_a_fatal_error_begins_the_stack(rest: list[str]) -> None:
    crash = found([*DUMP, *CRASH, *rest], fatal=True)

    assert crash == CRASH
    stack = kernel_stack.read(crash, "cell 3")
    assert stack.text.startswith("Fatal Python error: Segmentation fault\nCurrent thread (most ")
    assert "Extension modules" not in stack.text


def test_below_a_timing_magic_the_line_is_the_one_that_was_timed() -> None:
    timed = [
        DUMP[0],
        '  File "<timed exec>", line 5 in <module>',
        f'  File "{LIB}/site-packages/IPython/core/magics/execution.py", line 1 in time',
        '  File "/tmp/ipykernel_71/2222.py", line 1 in <module>',
        *MAIN[4:],
    ]

    stack = kernel_stack.read(timed, "cell 1")

    assert (stack.line, stack.timed) == (1, 5)


def test_without_a_stack_nothing_is_shown() -> None:
    assert kernel_stack.read([], "cell 1") == Stack()


def test_a_deep_stack_is_cut() -> None:
    frame = '  File "/tmp/ipykernel_71/2222.py", line 2 in f'
    deep = [DUMP[0], *[frame] * 99, *MAIN[4:]]

    lines = kernel_stack.read(deep, "cell 1").text.split("\n")

    assert lines[1:31] == ['  File "cell 1", line 2 in f'] * 30
    assert lines[31:] == ["  ... 72 frames"]
