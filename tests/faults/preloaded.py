"""A library that makes system calls fail or lie, by LD_PRELOAD; compiled when gcc is there.

``FLOCK_ERRNO=37`` has flock(2) fail with that number, ``NO_EXCHANGE=1`` renameat2(2) with flags and
link(2), as on network file systems; ``CLOCK_JUMP=SECONDS`` moves the wall clock once the file
``CLOCK_FILE`` exists.
"""

import subprocess
from typing import Final

from faults.harness import Fault

_SOURCE: Final = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int flock(int fd, int kind) {
    if (!getenv("FLOCK_ERRNO")) return syscall(SYS_flock, fd, kind);
    errno = atoi(getenv("FLOCK_ERRNO"));
    return -1;
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    if (!getenv("NO_EXCHANGE") || !flags) return syscall(SYS_renameat2, from, old, to, new, flags);
    errno = EINVAL;
    return -1;
}
int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (!getenv("NO_EXCHANGE")) return syscall(SYS_linkat, from, old, to, new, flags);
    errno = EPERM;
    return -1;
}
int link(const char *old, const char *new) { return linkat(-100, old, -100, new, 0); }
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && getenv("CLOCK_JUMP") && !access(getenv("CLOCK_FILE"), F_OK))
        now->tv_sec += atol(getenv("CLOCK_JUMP"));
    return failed;
}
"""


def preloaded(fault: Fault, **settings: str) -> dict[str, str]:
    """Return the environment for a step whose system calls behave as ``settings`` say."""
    fault.needs("gcc")
    source, library = fault.private / "calls.c", fault.private / "calls.so"
    source.write_text(_SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    clock = {"CLOCK_FILE": str(fault.private / "jump")}
    return {"LD_PRELOAD": str(library), **clock, **settings}
