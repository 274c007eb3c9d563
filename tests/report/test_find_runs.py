"""Records below a directory, of which parts may be closed to this user."""

import json
from pathlib import Path

import run_records
from users import RANDOM, stepkit_as


def test_a_directory_that_cannot_be_read_is_named_and_the_other_runs_are_there(
    volume: Path,
) -> None:
    for name in ("open", "closed"):
        (volume / name).mkdir()
        (volume / name / "run.json").write_text(json.dumps(run_records.run()))
    (volume / "closed").chmod(0o700)

    done = stepkit_as(RANDOM, "index", volume)

    assert done.returncode == 0
    assert f"cannot read {volume}/closed: Permission denied: its runs are left out" in done.stderr
    assert [row["path"] for row in json.loads((volume / "runs.json").read_text())["runs"]] == [
        "open/run.json"
    ]
