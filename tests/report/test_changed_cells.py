"""What rules changed is in the record, with the beginning of the diff."""

import os
from pathlib import Path

import pytest
from recorded import summarized
from step_reports import write_report

from stepkit.report.run_json_notebook import NotebookJson


def notebook(run: Path, diff: Path, **outputs: object) -> NotebookJson:
    write_report(run / "reports", "execute-notebook", outputs={"diff": str(diff), **outputs})
    (found,) = summarized(run)["notebooks"]
    return found


def test_a_diff_is_shown_as_its_file_has_it(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    diff = tmp_path / "artifacts/a.diff"
    diff.write_text("-a = 1\n+a = 2\n+url = 'https://me:pw@example.org'\n")
    change = {"rule": "replace", "cell": 2, "id": "", "what": "a is 2"}

    found = notebook(tmp_path, diff, changes=[change])

    assert found["diff"] == "a.diff"
    assert found["diff_text"] == "-a = 1\n+a = 2\n+url = 'https://***@example.org'\n"
    assert found["changes"] == [{**change, "applied": True}]


def test_a_long_diff_ends_with_a_whole_line_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    diff = tmp_path / "artifacts/a.diff"
    diff.write_text("+" + "x" * 98 + "\n" + "+ and one more\n" * 20_000)

    text = notebook(tmp_path, diff)["diff_text"]

    assert 19_900 < len(text) < 20_100
    assert text.endswith("+ and one more\n(the file has more)")


@pytest.mark.parametrize("kind", ["gone", "a pipe", "a link", "outside of the run"])
def test_no_other_file_is_read_for_a_diff(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run/artifacts").mkdir(parents=True)
    diff = tmp_path / "run/artifacts/a.diff"
    (tmp_path / "secret").write_text("token")
    if kind == "a pipe":
        os.mkfifo(diff)
    elif kind == "a link":
        diff.symlink_to(tmp_path / "secret")
    elif kind == "outside of the run":
        diff = tmp_path / "secret"

    assert notebook(tmp_path / "run", diff)["diff_text"] == ""
