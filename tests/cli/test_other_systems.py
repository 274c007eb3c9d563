"""On a system that is not Linux, stepkit names a container in which the command works."""

import commands
import pytest

import stepkit

FAKED = """\
import signal, sys
sys.platform = {platform!r}
del signal.SIGHUP  # Windows has none
sys.modules["fcntl"] = None  # nor this module
sys.argv = ["stepkit", "execute-notebook", "my notebook.ipynb", "out/a.ipynb"]
from stepkit.__main__ import run
sys.exit(run())
"""


@pytest.mark.parametrize(
    ("platform", "name"), [("darwin", "macOS"), ("win32", "Windows"), ("freebsd14", "freebsd14")]
)
def test_the_only_line_is_the_same_command_in_a_container(platform: str, name: str) -> None:
    """The platform is simulated: what Python lacks there is taken away."""
    done = commands.python("-c", FAKED.format(platform=platform))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"stepkit: error: it needs Linux, and this is {name}: run it in a container, "
        f'docker run --rm --init -v "${{PWD}}:/workspace" stepkit:{stepkit.__version__}-cpu '
        "execute-notebook 'my notebook.ipynb' out/a.ipynb\n"
    )
