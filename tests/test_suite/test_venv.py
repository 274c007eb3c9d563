import sys
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError, Reason, ToolError
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
        (
            " | All attempts to connect to h failed\n | Look\n",
            "All attempts to connect to h failed",
        ),
        ("at last\n\n", "at last"),
        ("", "it printed nothing"),
    ],
)
def test_the_error_of_an_installer_includes_a_path_on_its_next_line(
    output: str, shown: str
) -> None:
    assert venv.find_error(output) == shown


def test_what_an_installer_prints_is_logged_after_a_failure_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    lines = "; ".join(f"print('line {number}')" for number in range(30))

    assert venv.run_installer([sys.executable, "-c", lines], "it", timeout=60).startswith(
        "line 0\n"
    )
    assert caplog.messages == []

    with pytest.raises(ConfigurationError, match="it failed: line 29") as found:
        venv.run_installer([sys.executable, "-c", f"{lines}; exit(1)"], "it", timeout=60)

    shown = tuple(f"line {number}" for number in range(10, 30))
    assert found.value.evidence
    assert found.value.evidence.output == shown
    assert caplog.messages == [f"install: {line}" for line in shown]
