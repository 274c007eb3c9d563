from pathlib import Path

import pytest

from stepkit.errors import Reason, ToolError
from stepkit.test_suite import venv


def test_an_installer_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="sleeping took over 0 s") as caught:
        venv.run_installer(["sleep", "30"], "sleeping", timeout=0.2)
    assert caught.value.reason is Reason.TIMEOUT
    assert tmp_path.exists()


def test_the_error_for_a_full_disk_says_to_free_space() -> None:
    with pytest.raises(ToolError, match="free some space") as caught:
        venv.run_installer(
            ["sh", "-c", "echo 'error: No space left on device'; exit 1"], "x", timeout=9
        )
    assert caught.value.reason is Reason.DISK_FULL


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("error: no such thing\nhint: look\n", "error: no such thing"),
        (
            "error: Distribution not found at:\n  file:///a/b\n",
            "error: Distribution not found at: file:///a/b",
        ),
        ("error: it ends so:\n", "error: it ends so:"),
        ("at last\n\n", "at last"),
        ("", "it printed nothing"),
    ],
)
def test_the_error_of_an_installer_includes_a_path_on_its_next_line(
    output: str, shown: str
) -> None:
    assert venv.find_error(output) == shown
