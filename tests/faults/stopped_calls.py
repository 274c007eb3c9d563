"""Stop a command, and all that it starts, before each system call that changes a file.

The kernel hands such a call to this process (seccomp_unotify(2)) and waits: meanwhile the files lie
as a kill at that instant would leave them. Linux 5.19 or later on x86-64; no privileges are needed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# How a call says what it changes: pN is a path, dN the directory that the next path is relative to,
# fN a descriptor, oN the flags of an open.
CALLS: Final = {
    "write": (1, "f0"), "open": (2, "p0o1"), "pwrite64": (18, "f0"), "writev": (20, "f0"),
    "sendfile": (40, "f0"), "fsync": (74, "f0"), "fdatasync": (75, "f0"), "truncate": (76, "p0"),
    "ftruncate": (77, "f0"), "rename": (82, "p0p1"), "mkdir": (83, "p0"), "rmdir": (84, "p0"),
    "creat": (85, "p0"), "link": (86, "p0p1"), "unlink": (87, "p0"), "symlink": (88, "p1"),
    "chmod": (90, "p0"), "fchmod": (91, "f0"), "sync": (162, ""), "openat": (257, "d0p1o2"),
    "mkdirat": (258, "d0p1"), "unlinkat": (263, "d0p1"), "renameat": (264, "d0p1d2p3"),
    "linkat": (265, "d0p1d2p3"), "symlinkat": (266, "d1p2"), "fchmodat": (268, "d0p1"),
    "utimensat": (280, "d0p1"), "fallocate": (285, "f0"), "pwritev": (296, "f0"),
    "syncfs": (306, "f0"), "renameat2": (316, "d0p1d2p3"), "copy_file_range": (326, "f2"),
}  # fmt: skip
_NAMES: Final = {number: name for name, (number, _) in CALLS.items()}
_MAKES: Final = os.O_CREAT | os.O_TRUNC | 0o20000000  # the last is O_TMPFILE without O_DIRECTORY
_X86_64: Final = 0xC000003E  # AUDIT_ARCH_X86_64
_SECCOMP: Final = 317  # the number of seccomp(2)
_FLAGS: Final = 8 | 32  # NEW_LISTENER, WAIT_KILLABLE_RECV: no signal interrupts what waits
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1  # linux/seccomp.h
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_CWD: Final = -100  # AT_FDCWD


@dataclass(frozen=True)
class Call:
    """A system call that waits: its name, the process, and the absolute paths that it changes.

    ``descriptor`` is what it changes where it names a descriptor, by /proc, else None.
    """

    name: str
    process: int
    paths: tuple[str, ...]
    descriptor: str | None = None


@dataclass(frozen=True)
class Ended:
    """``code`` as in :mod:`subprocess`; None if the command still ran at its limit."""

    code: int | None
    killed: bool


def missing() -> str:
    """Say why no call can be stopped here, or nothing."""
    release = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    if platform.machine() != "x86_64" or release < (5, 19):
        return f"calls are stopped on x86-64 by Linux 5.19, not {platform.machine()} {release}"
    return ""


def run(
    command: Sequence[str | Path],
    decide: Callable[[Call], int | None],
    *,
    env: Mapping[str, str],
    directory: Path,
    log: Path,
    seconds: float = 60.0,
) -> Ended:
    """Run ``command``, and ask ``decide`` about each call: 0 lets it go on, else it gets an errno.

    None kills all processes of the command before the call is done. What ``command`` prints goes
    to ``log``.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(theirs.fileno()), *map(str, command)],
            env=dict(env), cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
        theirs.close()
        listener = socket.recv_fds(ours, 1, 1)[1][0]
    seen = {child.pid}
    try:
        killed = _answer(listener, child, decide, seen, time.monotonic() + seconds)
        if killed is not False:
            _kill_all(seen)
        return Ended(None if killed is None else child.wait(), bool(killed))
    finally:
        os.close(listener)
        _kill_all(seen)
        child.wait()


def _answer(
    listener: int,
    child: subprocess.Popen[bytes],
    decide: Callable[[Call], int | None],
    seen: set[int],
    until: float,
) -> bool | None:
    """Answer until all processes ended; return True for a kill, None when time is up."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while time.monotonic() < until:
        ready = poll.poll(200)
        if ready and ready[0][1] & select.POLLIN:
            request = bytearray(80)
            try:
                fcntl.ioctl(listener, _RECEIVE, request)
            except OSError as error:  # its process ended meanwhile
                if error.errno == errno.ENOENT:
                    continue
                raise
            (number, process), asked = struct.unpack_from("QI", request), _read(request)
            seen.add(process)
            verdict = decide(asked) if asked else 0
            if verdict is None:
                return True
            answer = struct.pack("QqiI", number, 0, -verdict, 0 if verdict else _CONTINUE)
            with suppress(OSError):
                fcntl.ioctl(listener, _SEND, answer)
        elif child.poll() is not None and (ready or not _alive(seen)):
            return False
    return None


def _read(request: bytearray) -> Call | None:
    """Return the call of a notification; None if its process is gone."""
    process, _, number = struct.unpack_from("=IIi", request, 8)
    arguments = struct.unpack_from("6Q", request, 32)
    name = _NAMES[number]
    kinds = CALLS[name][1]
    paths: list[str] = []
    base, descriptor = f"/proc/{process}/cwd", None
    with suppress(OSError):
        for kind, place in zip(kinds[::2], kinds[1::2], strict=True):
            value = arguments[int(place)]
            signed = ctypes.c_int(value).value
            if kind == "d":
                base = f"/proc/{process}/" + ("cwd" if signed == _CWD else f"fd/{signed}")
            elif kind == "f" or (kind == "p" and not value):  # utimensat of a descriptor
                descriptor = f"/proc/{process}/fd/{signed}" if kind == "f" else base
                paths.append(str(Path(descriptor).readlink()))
            elif kind == "p":
                paths.append(os.path.normpath(Path(base).readlink() / _text(process, value)))
        return Call(name, process, tuple(paths), descriptor)
    return None


def _text(process: int, address: int) -> str:
    """Read a string that ends with a zero byte, page by page: the next one may not be there."""
    text = b""
    with Path(f"/proc/{process}/mem").open("rb", 0) as memory:
        memory.seek(address)
        while b"\0" not in text:
            text += memory.read(4096 - (address + len(text)) % 4096)
    return os.fsdecode(text.split(b"\0")[0])


def _children(process: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def _alive(seen: set[int]) -> list[int]:
    """Return the processes in ``seen`` and below them that have not ended."""
    waiting, found = list(seen), []
    while waiting:
        process = waiting.pop()
        with suppress(OSError):
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                found.append(process)
            waiting += set(_children(process)) - seen
            seen.update(waiting)
    return found


def _kill_all(seen: set[int]) -> None:
    while alive := _alive(seen):
        for process in alive:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.002)


def _filter() -> bytes:
    """Return the program that picks the calls (seccomp(2), bpf)."""
    load, equal, test, end = 0x20, 0x15, 0x45, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, _X86_64), (end, 0, 0, _ALLOW), (load, 0, 0, 0)]
    for number, kinds in CALLS.values():
        if "o" in kinds:
            flags = 16 + 8 * int(kinds[-1])
            block = [(load, 0, 0, flags), (test, 0, 1, _MAKES), (end, 0, 0, _NOTIFY)]
            block.append((end, 0, 0, _ALLOW))
        else:
            block = [(end, 0, 0, _NOTIFY)]
        program += [(equal, 0, len(block), number), *block]
    program.append((end, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in program)


def _become(channel: int, command: list[str]) -> None:
    """Install the filter in this process, send its descriptor, and become ``command``."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = ctypes.create_string_buffer(_filter())
    header = struct.pack("HxxxxxxQ", (len(program) - 1) // 8, ctypes.addressof(program))
    if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl")
    listener = libc.syscall(_SECCOMP, 1, _FLAGS, header)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    with socket.socket(fileno=channel) as parent:
        socket.send_fds(parent, [b"1"], [listener])
    os.close(listener)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
