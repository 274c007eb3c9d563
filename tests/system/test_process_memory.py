"""What a process was started with is not there for others to read."""

import os
import sys

import commands

CODE = """
import os, subprocess, sys
from stepkit.system import process_memory
process_memory.erase_variables({"SECRET", "EMPTY", "MISSING"})
seen = open("/proc/self/environ", "rb").read()
process_memory.write_no_core_dump()
limit = subprocess.run(["cat", "/proc/self/limits"], capture_output=True, text=True).stdout
core = next(line.split()[4] for line in limit.splitlines() if "core file" in line)
print(b"s3cret" in seen, b"AFTER=after" in seen, os.environ["SECRET"], core)
"""


def test_a_variable_is_erased_where_other_processes_would_read_it() -> None:
    env = {**os.environ, "EMPTY": "", "SECRET": "s3cret=value", "AFTER": "after"}

    done = commands.python("-c", CODE, env=env)

    assert done.stdout.split()[:3] == ["False", "True", "s3cret=value"], done.stderr


def test_neither_a_process_nor_its_children_leave_a_core_dump() -> None:
    limited = ("prlimit", "--core=1048576", sys.executable)

    done = commands.run(*limited, "-c", CODE, env={**os.environ, "SECRET": ""})

    assert done.stdout.split()[-1] == "1", done.stderr
