"""The commands of docs/tutorial.md print what it says, one after the other in one shell."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TUTORIAL = Path(__file__).parents[1] / "docs/tutorial.md"
CHECKER = doctest.OutputChecker()


def commands_and_outputs() -> list[tuple[str, str]]:
    blocks = re.findall(r"^```console\n(.*?)^```$", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    found = []
    for part in "".join(blocks).removeprefix("$ ").split("\n$ "):
        command, *lines = part.splitlines(keepends=True)
        while lines and lines[0].startswith(">"):
            command += lines.pop(0)[2:] or "\n"
        found.append((command, "".join(lines)))
    return found


@pytest.mark.slow
def test_each_command_of_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    python = os.fspath(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "CI": ""}
    done = subprocess.run(
        ["bash", "-s"],
        input="".join(
            f"{{ {command}\n}} 2>&1; code=$?; printf '\\0'; (exit $code)\n"
            for command, _ in commands_and_outputs()
        ),
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=env,
        text=True,
        check=False,
    )

    printed = done.stdout.split("\0")
    assert len(printed) == len(commands_and_outputs()) + 1
    for (command, wanted), got in zip(commands_and_outputs(), printed, strict=False):
        same = CHECKER.check_output(f"{wanted.rstrip()}\n", got, doctest.ELLIPSIS) or got == wanted
        assert same, f"{command}\n{wanted}\n{got}"

    workflow = yaml.safe_load((tmp_path / "squares/.github/workflows/notebooks.yml").read_text())
    lines = [step["run"] for step in workflow["jobs"]["notebooks"]["steps"] if "run" in step]
    clone = (
        "cd squares; git add --all; git -c user.name=a -c user.email=a@b.c commit -qm Begin;"
        "git clone -q . ../clone; cd ../clone"
    )
    pushed = ["bash", "-euc", "\n".join([clone, *lines[1:]])]
    subprocess.run(pushed, cwd=tmp_path, env=env, check=True)
