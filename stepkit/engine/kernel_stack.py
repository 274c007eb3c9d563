"""Read from what a kernel's process printed where its threads were when it hung or died.

Its launcher has Python's faulthandler print that: at a signal of ours, and at one that is fatal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from stepkit.formats.plain_text import plain
from stepkit.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FATAL: Final = "Fatal Python error: "
OWN_SIGNAL: Final = re.compile(r"stepkit: the kernel sends itself signal (\d+):")  # the launcher's
_THREAD: Final = re.compile(r"(Current thread|Thread) 0x[0-9a-f]+.*:\Z")
_DUMPED: Final = re.compile(  # in the rest of the dump
    rf"{FATAL}|(Current thread|Thread) 0x|  (File \"|\.\.\.|<)|Extension modules: |\Z"
)
_FRAME: Final = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_CELL: Final = re.compile(r"/ipykernel_\d+/(\d+)\.py\Z")  # the name that ipykernel gives a cell
_TIMED: Final = "<timed exec>"  # that of the code below %%time
_KERNEL: Final = re.compile(
    r"/(?:IPython|ipykernel|traitlets|tornado|zmq|jupyter_client|stepkit/kernel)/"
)
_STANDARD: Final = re.compile(r"/lib/python3\.\d+/(?!(?:site|dist)-packages/)|\A<frozen ")
_MOST_FRAMES: Final = 30  # of a thread
_MOST_THREADS: Final = 10


@dataclass(frozen=True)
class Stack:
    """Where the threads were; ``line`` is that of the cell that ran, as IPython counts it.

    ``timed`` is the line below ``%%time``, if the cell has that.
    """

    text: str = ""
    line: int | None = None
    timed: int | None = None


def find(lines: Sequence[str], *, fatal: bool) -> range:
    """Return which ``lines`` are the last dump of all threads, one at a ``fatal`` signal if so."""
    found = range(0)
    for dumped, group in groupby(range(len(lines)), lambda n: bool(_DUMPED.match(lines[n]))):
        numbers = list(group)
        begins = [n for n in numbers if (_is_fatal(lines, n) if fatal else lines[n])]
        if dumped and begins and any(_THREAD.match(lines[n]) for n in numbers):
            found = range(begins[0], numbers[-1] + 1)
    return found


def _is_fatal(lines: Sequence[str], number: int) -> bool:
    """Return whether a dump begins here that was printed at a signal which ended the process."""
    own = number and OWN_SIGNAL.match(lines[number - 1])
    return lines[number].startswith(FATAL) or bool(own)


def read(dump: Sequence[str], where: str) -> Stack:
    """Return the stack of the kernel's threads from the lines of one dump.

    ``where`` is what the running cell is called. Threads and frames of the kernel are counted.
    """
    threads = list(_threads(dump))
    main = next((frames for _, frames in threads if _runs_a_cell(frames)), [])
    running = main[_outermost_cell(main)][0] if main else ""
    line = next((number for path, number, _ in main if path == running), None)
    timed = next((number for path, number, _ in main if path == _TIMED), None)
    shown, own = [], 0
    for head, frames in threads:
        if all(_is_kernels(path) for path, _, _ in frames):
            own += 1
        else:
            shown.append("\n".join([head, *_frames(frames, {running: where})]))
    text = [line for line in dump[:1] if line.startswith(FATAL)]
    text += shown[-_MOST_THREADS:]  # the main thread is the last one
    hidden = own + max(len(shown) - _MOST_THREADS, 0)
    if hidden:
        text.append(f"... and {hidden} other {'thread' if hidden == 1 else 'threads'}")
    return Stack(plain(redact("\n".join(text))), line, timed)


Frame = tuple[str, int, str]  # file, line, function


def _threads(dump: Sequence[str]) -> Iterator[tuple[str, list[Frame]]]:
    head, frames = "", list[Frame]()
    for line in [*dump, "Thread 0x0:"]:
        if found := _THREAD.match(line):
            if frames:
                yield head, frames
            head, frames = f"{found[1]} (most recent call first):", []
        elif frame := _FRAME.match(line):
            frames.append((frame[1], int(frame[2]), frame[3]))


def _runs_a_cell(frames: Sequence[Frame]) -> bool:
    """Return whether a thread is the kernel's main one, in which a cell runs."""
    in_cell = _outermost_cell(frames) >= 0
    return in_cell and any(_KERNEL.search(path) for path, _, _ in frames)


def _outermost_cell(frames: Sequence[Frame]) -> int:
    """Return which frame is that of the cell that a thread runs; -1 without one."""
    return max((n for n, (path, _, _) in enumerate(frames) if _CELL.search(path)), default=-1)


def _is_kernels(path: str) -> bool:
    return bool(_KERNEL.search(path) or _STANDARD.search(path))


def _frames(frames: Sequence[Frame], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the frames of a thread; those below a cell are the kernel's."""
    cell = _outermost_cell(frames)
    kept = list(frames[: cell + 1] or frames)[:_MOST_FRAMES]
    for path, line, function in kept:
        name = names.get(path) or ("another cell" if _CELL.search(path) else path)
        yield f'  File "{name}", line {line} in {function}'
    if rest := len(frames) - len(kept):
        whose = " of the kernel" if len(kept) == cell + 1 else ""
        yield f"  ... {rest} {'frame' if rest == 1 else 'frames'}{whose}"
