"""The record of a large run is cut, says so, and keeps whole what decided the verdict."""

import json

import pytest
import run_records
from run_records import artifact, cells, error, notebook, run, step

from stepkit.report import shorten_record
from stepkit.report.run_json import RunJson

LONG = error(traceback="\n".join(["x" * 100] * 40), source="y" * 2000, left_out=3)


def failed_notebooks(count: int, *, first: int) -> RunJson:
    """Return a run of failed notebooks but for the ``first``, of 40 cells; the last decided."""
    made = []
    for number in range(count):
        found = cells(40)
        bad = number >= first
        if bad:
            found[19].update({"status": "error", "error": {**LONG}})
        status = "failed" if bad else "passed"
        made.append(notebook(name=f"n{number}", cells=found, status=status))
    cause = {
        "step": "s", "status": "failed", "reason": "cell-error", "exit_code": 3, "message": "",
        "notebook": count - 1, "cell": 19, "error": {**LONG},
    }  # fmt: skip
    failed_steps = [step(f"s{n}", status="failed", error={**LONG}) for n in range(count)]
    return run(notebooks=made, verdict="failed", cause=cause, steps=failed_steps)


def shortened(record: RunJson) -> RunJson:
    text = shorten_record.as_text(record)
    assert len(text.encode()) <= 2_000_000
    read: RunJson = json.loads(text)
    run_records.validate(read)
    assert read == record
    return read


def test_a_usual_record_is_written_whole() -> None:
    record = run_records.failed()

    assert json.loads(shorten_record.as_text(record)) == run_records.failed()


@pytest.mark.slow
def test_of_hundreds_of_failed_notebooks_the_first_keep_their_evidence_and_cells() -> None:
    record = shortened(failed_notebooks(500, first=5))

    found = record["notebooks"]
    assert len(found) == 500
    kept = [nb["name"] for nb in found if len(nb["cells"]) == 40]
    assert kept == [*(f"n{number}" for number in range(5, 25)), "n499"]
    assert found[5]["cells"][19]["error"] == found[499]["cells"][19]["error"] == LONG
    (cell,) = found[100]["cells"]
    assert cell["error"] is not None
    assert (cell["number"], cell["error"]["traceback"], cell["error"]["left_out"]) == (20, "", 43)
    assert (cell["error"]["ename"], cell["error"]["evalue"]) == ("KeyError", "'pca'")
    assert record["left_out"]["cells"] == 474 * 39 + 5 * 40
    assert record["left_out"]["evidence"] == 480 + 474
    assert record["cause"] is not None
    assert record["cause"]["error"] == LONG


def test_only_as_much_is_cut_as_has_to_be() -> None:
    record = shortened(failed_notebooks(74, first=0))

    assert record["left_out"] == {"evidence": 54 + 53}
    assert [len(nb["cells"]) for nb in record["notebooks"]] == [40] * 74
    assert record["notebooks"][50]["gpu"] is not None


@pytest.mark.parametrize("many", ["artifacts", "failures"])
def test_long_lists_end_with_what_has_no_role(many: str) -> None:
    listed = [artifact(f"chunks/{number}") for number in range(20_000)]
    failures = [run_records.case(str(n), status="failed", text="E" * 500) for n in range(20_000)]
    if many == "artifacts":
        record = run(artifacts=[*listed, artifact("a.html", role="page")])
    else:
        record = run(tests=[run_records.tests(failures=failures)])

    short = shortened(record)

    if many == "artifacts":
        assert short["artifacts"][0]["path"] == "a.html"
        assert short["left_out"] == {"artifacts": 19_001}
    else:
        assert len(short["tests"][0]["failures"]) == 200
        assert [len(case["text"]) for case in short["tests"][0]["failures"]][19:21] == [500, 0]
        assert short["left_out"] == {"evidence": 19_980, "failures": 19_800}
