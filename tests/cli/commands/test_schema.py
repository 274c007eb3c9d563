"""`stepkit schema` prints what documents of stepkit look like, and they look like that."""

import json
from dataclasses import replace
from pathlib import Path

import published_schemas
import pytest
from greeting import Register, raising
from jsonschema import Draft202012Validator
from published_schemas import INPUTS, NAMES
from samples import write_notebook

from stepkit.cli import main as cli
from stepkit.cli.commands import schema
from stepkit.errors import Evidence, Place, UserCodeError
from stepkit.gpu.monitor import timeline
from stepkit.gpu.monitor.timeline import Extent, Timeline, Xid
from stepkit.system.nvml import Device


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_valid_and_names_itself(
    name: schema.Name, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["schema", name]) == 0

    said = capsys.readouterr()
    assert said.err == ""
    printed = json.loads(said.out)
    assert printed == schema.load(name)
    Draft202012Validator.check_schema(printed)
    kind, _, version = printed["$id"].removeprefix("urn:stepkit:schema:").partition(":")
    assert kind == name
    if name not in INPUTS:
        assert printed["properties"]["schema"] == {"const": f"stepkit.{name}/{version}"}
        assert "schema" in printed["required"]
        assert printed["title"].endswith(f", stepkit.{name}/{version}")


def test_without_a_name_all_schemas_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert "run           Record of a run, stepkit.run/1" in lines


def test_an_unknown_name_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["schema", "reports"])

    assert stop.value.code == 2
    assert "'reports' is none of report, run, " in capsys.readouterr().err


def test_reports_and_the_manifest_are_as_their_schemas_say(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a.txt").write_text("a")
    for name, flags, code in (
        ("collect-artifacts", [f"--artifacts={tmp_path}/run"], 0),
        ("collect-artifacts", [f"--artifacts={tmp_path}/missing"], 2),
        ("prepare-workspace", [f"--directory={tmp_path}/other", "--run=r"], 0),
        ("execute-notebook", [f"--notebook={tmp_path}/none", f"--output={tmp_path}/b.ipynb"], 2),
        ("git-clone", [f"--url={tmp_path}/none", f"--destination={tmp_path}/c"], 2),
        ("schema", ["run"], 0),
    ):
        report = tmp_path / f"{name}-{code}.json"
        assert cli.main([name, *flags, f"--report={report}"]) == code
        assert published_schemas.problems(json.loads(report.read_text())) == []
    with pytest.raises(SystemExit):
        cli.main(["git-clone", "--typo", f"--report={tmp_path}/refused.json"])

    assert published_schemas.check_files(tmp_path) == {"report", "manifest"}
    assert (tmp_path / "refused.json").exists()


def test_evidence_and_place_are_in_the_schema(register: Register, tmp_path: Path) -> None:
    error = UserCodeError("no", evidence=Evidence(line=3, output=("a",)), place=Place(title="x"))
    register(raising(error))

    assert cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"]) == 3

    assert published_schemas.problems(json.loads((tmp_path / "r.json").read_text())) == []


def test_a_document_with_another_key_or_kind_of_value_is_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    cli.main(["collect-artifacts", f"--artifacts={tmp_path}/run", f"--report={tmp_path}/r.json"])
    report = json.loads((tmp_path / "r.json").read_text())

    for change in (
        {"more": 1},
        {"seconds": "1"},
        {"status": "fine"},
        {"outputs": report["outputs"] | {"more": 1}},
        {"outputs": report["outputs"] | {"count": "1"}},
        {"options": report["options"] | {"artifacts": None}},
        {"started": None},
    ):
        assert published_schemas.problems(report | change), change


def test_a_timeline_is_as_its_schema_says(tmp_path: Path) -> None:
    device = Device(index=0, uuid="GPU-1", name="H200", driver="1", memory_total=1, memory_used=0)
    columns: dict[str, list[float | None]] = {
        "rss": [1.5, None],
        "cpu_seconds": [0, 1],
        "gpu0.power": [1, 2],
        "gpu0.energy": [0, 1],
    }
    samples = Timeline(
        interval=0.2,
        seconds=[-0.1, 0.1],
        columns=columns,
        extents={"rss": Extent(first=1, last=1, highest=1, mean=1)},
        devices=(device,),
        xids=(Xid(seconds=1, device=None, number=79),),
        errors=("e",),
    )
    timeline.write(samples, tmp_path / "a.timeline.json.gz")
    timeline.write(replace(samples, columns={}, devices=()), tmp_path / "b.timeline.json.gz")

    assert published_schemas.check_files(tmp_path) == {"timeline"}


@pytest.mark.slow
def test_what_notebooks_and_a_summary_write_is_as_the_schemas_say(tmp_path: Path) -> None:
    good = write_notebook(tmp_path / "source/good.ipynb", "print(1)")
    bad = write_notebook(tmp_path / "source/bad.ipynb", "1 / 0", "2")
    reports = tmp_path / "reports"
    args = ["--notebooks", str(good), str(bad), f"--directory={tmp_path}/artifacts"]
    assert cli.main(["execute-notebooks", *args, f"--report={reports}/execute-notebooks.json"]) == 3
    flags = [f"--artifacts={tmp_path}/artifacts", f"--report={reports}/collect-artifacts.json"]
    assert cli.main(["collect-artifacts", *flags]) == 0
    summary = [f"--reports={reports}", f"--summary={tmp_path}/artifacts/STEP_SUMMARY.md"]
    assert cli.main(["summarize", *summary, f"--report={tmp_path}/summarize.json"]) == 0

    found = published_schemas.check_files(tmp_path)

    assert found == {"report", "manifest", "run", "metadata", "timeline", "progress"}
