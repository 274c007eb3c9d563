"""No file is written over another that the same command reads or writes."""

from pathlib import Path

import pytest

from stepkit.cli import main as cli


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--log", "a.ipynb"], "--log and --notebook name the same file"),
        (["--stdout-file", "a.ipynb"], "--stdout-file and --notebook name the same file"),
        (["--report", "a.ipynb"], "--report and --notebook name the same file"),
        (["--result", "status=./a.ipynb"], "--result status and --notebook name the same file"),
        (["--report", "o.ipynb"], "--report and --output name the same file"),
        (["--result", "status=r", "--result", "reason=r"], "name the same file r"),
    ],
)
def test_no_file_is_written_over_another_of_the_same_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = tmp_path / "a.ipynb"
    notebook.write_text("precious")

    exit_code = cli.main(["execute-notebook", "--notebook=a.ipynb", "--output=o.ipynb", *flags])

    assert exit_code == 2
    assert said in capsys.readouterr().err
    assert notebook.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [notebook]
