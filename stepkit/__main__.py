"""Run ``python -m stepkit`` as ``stepkit``."""

import os
import sys

# `python -m` puts the current directory first on sys.path: a cloned repository with its own
# json.py would break every import that follows. `python -P` leaves it out; without -P we do.
if not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109
    del sys.path[0]

try:
    from stepkit.system import stop_requests
except KeyboardInterrupt:  # before it could be noted
    raise SystemExit(130) from None

stop_requests.note()
from stepkit.cli.main import main  # noqa: E402 - an import that takes long

code = main()
stop_requests.ignore()
raise SystemExit(code)
