"""Start stepkit's kernel from a user's kernelspec: ``python -m stepkit.kernel -f FILE``."""

import os
import sys

# `python -m` puts the current directory first on sys.path, where a notebook's own json.py may lie.
# IPython adds the directory again for the notebook, when the kernel has imported what it needs.
if not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109
    del sys.path[0]

from stepkit.kernel.launcher import main

main()
