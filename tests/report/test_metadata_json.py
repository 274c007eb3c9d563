"""metadata.json says on a page what ran on what: a view of run.json, with the same words."""

import json
from pathlib import Path
from typing import Any

import pytest
import run_records
from published_schemas import problems
from run_records import COMMIT

from stepkit.report import metadata_json
from stepkit.report.run_json import RunJson

RUNS = [
    pytest.param(make(), id=make.__name__)
    for make in (
        *(run_records.run, run_records.failed, run_records.killed_kernel, run_records.matrix),
        *(run_records.incomplete, run_records.empty, run_records.no_gpu),
    )
]


@pytest.mark.parametrize("record", RUNS)
def test_metadata_of_every_run_are_what_the_schema_says(record: RunJson) -> None:
    assert problems(json.loads(metadata_json.as_text(record))) == []


def test_it_says_what_ran_on_what() -> None:
    record = run_records.failed()

    found: dict[str, Any] = json.loads(metadata_json.as_text(record))

    (notebook,) = found["notebooks"]
    assert found["repositories"][notebook["repository"]]["commit"] == COMMIT
    assert found["image"] == record["identity"]["image"]
    assert found["gpus"] == ["NVIDIA H100 80GB HBM3"]
    assert (notebook["kernel"]["name"], notebook["parameters"]) == ("python3", {"n_pcs": 50})
    cells = record["notebooks"][0]
    assert notebook["cells"] == {
        "total": cells["cells_total"],
        "run": cells["cells_run"],
        "tolerated": 0,
        "failed": 1,
        "skipped": 0,
    }


def test_a_notebook_began_at_a_time_of_the_clock() -> None:
    record = run_records.run(started="2026-11-30T10:15:00.120+00:00")
    record["notebooks"][0]["start_ms"] = 4_000

    (notebook,) = metadata_json.view(record)["notebooks"]

    assert notebook["started"] == "2026-11-30T10:15:04.120+00:00"
    record["notebooks"][0]["start_ms"] = None
    assert metadata_json.view(record)["notebooks"][0]["started"] is None


@pytest.mark.parametrize(
    "content", ['{"model": "umap"}', "[]", "not JSON", '{"schema": "stepkit.run/1"}']
)
def test_what_another_program_wrote_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metadata.json"
    assert metadata_json.may_be_replaced(path)

    path.write_text(metadata_json.as_text(run_records.run()))
    assert metadata_json.may_be_replaced(path)

    path.write_text(content)
    assert not metadata_json.may_be_replaced(path)
