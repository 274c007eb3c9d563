"""Run one step of a Task in a container, as a kubelet would: called in place of Python.

``run-local`` starts every step with ``sys.executable``; the image tests put this there. What the
step may see is its workspace (the current directory), the directory of its results, and the
environment that its Task names.
"""

import json
import os
import sys
from pathlib import Path

RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
ONLINE = {"git-clone", "run-tests"}  # the rest gets no network


def main(arguments: list[str]) -> None:
    """Become `podman run`; ``STEPKIT_TEST_CONTAINERS`` says with which images and flags."""
    given = json.loads(os.environ["STEPKIT_TEST_CONTAINERS"])
    step = arguments[arguments.index("stepkit") + 1]
    command = [*given["podman"], "run", "--rm", *given["run"], *RESTRICTED]
    command.append(f"--user={given['user']}")
    command.append("--network=host" if step in ONLINE else "--network=none")
    here = Path.cwd()
    command += [f"--volume={here}:{here}", f"--workdir={here}"]
    for directory in _result_directories(arguments):
        directory.chmod(0o777)  # Tekton's is an emptyDir
        command.append(f"--volume={directory}:{directory}")
    if step in ONLINE:
        command += given["online"]
    command += [f"--env={name}" for name in ("PYTHONUNBUFFERED", "GIT_TOKEN") if name in os.environ]
    image = given["images"].get(step, given["images"]["other"])
    command += ["--entrypoint=python", image, *arguments]
    os.execvp(command[0], command)


def _result_directories(arguments: list[str]) -> set[Path]:
    values = [argument.split("=", 2) for argument in arguments if argument.startswith("--result=")]
    return {Path(path).parent for _, _, path in values}


if __name__ == "__main__":
    main(sys.argv[1:])
