"""Run ``python -m stepkit``, and the program ``stepkit``."""

import os
import sys

# `python -m` puts the current directory first on sys.path: a cloned repository with its own
# json.py would break every import that follows. `python -P` leaves it out; without -P we do.
if not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109
    del sys.path[0]

import signal


def run() -> int:
    """Run a command and return its exit code; a signal that comes from now on is reported."""
    if sys.platform != "linux":
        from stepkit.cli import other_systems

        return other_systems.refuse(sys.argv[1:])
    early: list[int] = []  # signals that came before stop_requests could note them
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum == signal.SIGTERM or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, lambda number, _: early.append(number))
    from stepkit.system import stop_requests

    stop_requests.note()
    for number in early:
        signal.raise_signal(number)
    from stepkit.cli import overview

    if overview.is_asked_for(sys.argv[1:]):
        return overview.show()
    from stepkit.cli.main import main

    code = main()
    stop_requests.ignore()
    return code


if __name__ == "__main__":
    raise SystemExit(run())
