"""collect-artifacts takes what a notebook wrote, and checks that results are what they must be."""

import json
import os
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from step_reports import write_report

from stepkit.cli.main import main
from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.steps import collect_artifacts
from stepkit.steps.collect_artifacts import Options, Outputs

PAGE = "<!doctype html><img src='a.png'><table></table>"


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    directory = tmp_path / "artifacts"
    directory.mkdir()
    image = new_output("display_data", {"image/png": "iVBORw0KGgo="})
    notebook = new_notebook(cells=[new_code_cell("plot()", outputs=[image])])
    nbformat.write(notebook, directory / "out_lite.ipynb")
    (directory / "out_lite.html").write_text(PAGE)
    return directory


def listed(directory: Path) -> set[str]:
    manifest = json.loads((directory / "manifest.json").read_text())
    return {artifact["path"] for artifact in manifest["artifacts"]}


def test_results_that_are_as_expected_pass_and_are_counted(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "expect.yaml").write_text("out{suffix}.html: tables>=1\n")
    expect = ("out{suffix}.ipynb: type=notebook, outputs>=1", "out_lite.html: size>=40")

    outputs = collect_artifacts.run(
        Options(
            artifacts=artifacts,
            expect=expect,
            expect_file=tmp_path / "expect.yaml",
            suffix="_lite",
        )
    )

    assert outputs.message == "2 artifacts, 0.0 MB; 4 conditions hold"


def test_results_that_are_not_as_expected_fail_after_all_are_listed(artifacts: Path) -> None:
    (artifacts / "umap.png").write_text("<html>504 Gateway Timeout</html>")
    expect = (
        "out_lite.html: size>=100KB, images>=3, tables>=2",
        "out_lite.ipynb: tables>=1",
        "umap.png: type=png, size>=1",
    )

    with pytest.raises(UserCodeError) as caught:
        collect_artifacts.run(Options(artifacts=artifacts, expect=expect))

    assert str(caught.value) == (
        "out_lite.html has 47 B, not 100.0 kB or more and has 1 image, not 3 or more and has "
        "1 table, not 2 or more; out_lite.ipynb has no tables, not 1 or more; "
        "umap.png is HTML, not PNG"
    )
    assert (caught.value.reason, caught.value.exit_code) == (Reason.ARTIFACT_INVALID, 3)
    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.message == "3 artifacts, 0.0 MB"
    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", "umap.png"}


def test_a_missing_result_is_the_reason_also_beside_one_that_is_wrong(artifacts: Path) -> None:
    expect = ("figure.png: type=png", "out_lite.html: images>=2")

    with pytest.raises(
        UserCodeError, match=r"1 of 2 .* figure\.png; out_lite\.html has 1"
    ) as caught:
        collect_artifacts.run(Options(artifacts=artifacts, expect=expect))

    assert caught.value.reason == Reason.ARTIFACT_MISSING


def test_a_condition_on_what_was_not_asked_for_is_not_checked(artifacts: Path) -> None:
    expect = ("coverage{suffix}.xml: type=xml",)

    outputs = collect_artifacts.run(
        Options(
            artifacts=artifacts, expect=expect, suffix="_lite", asked_for=("coverage_lite.xml=",)
        )
    )

    assert outputs.message == "2 artifacts, 0.0 MB"


def test_a_wrong_condition_is_refused_before_anything_is_copied_or_listed(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["collect-artifacts", "--artifacts", str(artifacts)]

    assert main([*command, "--expect", "out_lite.html: imges>=3"]) == 2
    assert "there is no condition 'imges': did you mean images" in capsys.readouterr().err
    assert main([*command, "--expect-file", "tests:expect.yaml"]) == 2
    assert "with --checkouts DIR" in capsys.readouterr().err
    assert not (artifacts / "manifest.json").exists()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a checkout with a dataset, whose steps have ended, and a notebook that then ran."""
    source, reports = tmp_path / "source", tmp_path / "reports"
    (source / "notebooks/figures").mkdir(parents=True)
    for name in ("umap.ipynb", "labels.csv", "figures/committed.png"):
        (source / "notebooks" / name).write_text("committed")
    write_report(reports, "clone-notebooks", step="git-clone", outputs={"checkout": str(source)})
    (source / "notebooks/data.csv").write_text("a dataset")
    dataset = {
        "path": "notebooks/data.csv", "url": "https://example.org", "sha256": None, "size": None,
        "came": "downloaded",
    }  # fmt: skip
    outputs = {"directory": str(source), "datasets": [dataset]}
    write_report(reports, "download-dataset", outputs=outputs)
    ended = (reports / "download-dataset.json").stat().st_mtime_ns
    umap = source / "notebooks/figures/umap.png"
    while not umap.exists() or umap.stat().st_ctime_ns <= ended:
        umap.write_bytes(b"\x89PNG\r\n\x1a\n" + time.monotonic_ns().to_bytes(8, "big"))
    os.link(source / "notebooks/data.csv", tmp_path / "cache")  # a file that changes again
    (source / "notebooks/clusters.csv").write_text("written")
    return source


def test_what_the_notebook_wrote_beside_itself_is_collected(
    artifacts: Path, source: Path, tmp_path: Path
) -> None:
    outputs = collect_artifacts.run(
        Options(
            artifacts=artifacts,
            files=(Path("*.csv"), Path("figures/**")),
            beside=(Path("notebooks/umap.ipynb"),),
            checkout=source,
            reports=tmp_path / "reports",
            expect=("files/figures/umap.png", "files/clusters.csv: type=text"),
        )
    )

    wrote = {"files/figures/umap.png", "files/clusters.csv"}
    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", *wrote}
    assert outputs.count == 4
    assert (artifacts / "files/clusters.csv").read_text() == "written"


def test_a_directory_where_a_dataset_was_unpacked_may_hold_results_too(
    artifacts: Path, source: Path, tmp_path: Path
) -> None:
    report = tmp_path / "reports/download-dataset.json"
    times = report.stat().st_atime_ns, report.stat().st_mtime_ns
    unpacked = {"path": "notebooks/figures", "unpacked": True, "url": "https://example.org"}
    dataset = {**unpacked, "sha256": None, "size": None, "came": "downloaded"}
    outputs = {"directory": str(source), "datasets": [dataset]}
    write_report(tmp_path / "reports", "download-dataset", outputs=outputs)
    os.utime(report, ns=times)

    collect_artifacts.run(
        Options(
            artifacts=artifacts,
            files=(Path("figures"),),
            beside=(source / "notebooks/umap.ipynb",),
            reports=tmp_path / "reports",
        )
    )

    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", "files/figures/umap.png"}


def test_a_file_as_old_as_the_checkout_is_none_of_the_notebook_s(
    artifacts: Path, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "reports/download-dataset.json").unlink()

    collect_artifacts.run(
        Options(
            artifacts=artifacts,
            files=(Path("labels.csv"), Path("figures/umap.png")),
            beside=(source / "notebooks/umap.ipynb",),
            reports=tmp_path / "reports",
        )
    )

    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", "files/figures/umap.png"}


def test_reports_beside_the_notebook_are_not_collected(artifacts: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "execute-notebook")
    (tmp_path / "model.json").write_text("{}")

    collect_artifacts.run(
        Options(
            artifacts=artifacts,
            files=(Path("**/*.json"),),
            beside=(tmp_path / "x.ipynb",),
            reports=tmp_path / "reports",
        )
    )

    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", "files/model.json"}


def test_without_reports_all_that_matches_is_collected(artifacts: Path, source: Path) -> None:
    notebook = source / "notebooks/umap.ipynb"

    collect_artifacts.run(Options(artifacts=artifacts, files=(Path("*.csv"),), beside=(notebook,)))

    wrote = {"files/clusters.csv", "files/data.csv", "files/labels.csv"}
    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", *wrote}


def test_artifacts_beside_the_notebook_are_not_collected_again(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.csv").write_text("a")
    (tmp_path / "b.csv").write_text("b")
    options = Options(
        artifacts=tmp_path / "out", files=(Path("**/*.csv"),), beside=(tmp_path / "x.ipynb",)
    )

    for _ in range(2):
        collect_artifacts.run(options)
        assert listed(tmp_path / "out") == {"a.csv", "files/b.csv"}


def test_files_over_the_limit_fail_the_step_which_names_them(artifacts: Path, source: Path) -> None:
    (source / "notebooks/large.bin").write_bytes(bytes(3000))
    options = Options(
        artifacts=artifacts,
        files=(Path("*.bin"), Path("clusters.csv")),
        beside=(source / "notebooks/umap.ipynb",),
        files_limit="2kB",
    )

    with pytest.raises(UserCodeError) as caught:
        collect_artifacts.run(options)

    assert str(caught.value) == "--files-limit 2kB has no room for large.bin (3.0 kB)"
    assert caught.value.reason == Reason.ARTIFACT_MISSING
    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb", "files/clusters.csv"}


def test_a_run_without_files_has_no_warning(
    artifacts: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collect_artifacts.run(Options(artifacts=artifacts, beside=(source / "notebooks/umap.ipynb",)))

    assert "no file of the notebook" not in caplog.text
    assert listed(artifacts) == {"out_lite.html", "out_lite.ipynb"}


def test_a_pattern_without_a_match_is_a_warning(
    artifacts: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beside = (source / "notebooks/umap.ipynb", source / "gone/x.ipynb")

    collect_artifacts.run(Options(artifacts=artifacts, files=(Path("*.h5ad"),), beside=beside))

    assert "no file of the notebook matches *.h5ad" in caplog.text
    with pytest.raises(ConfigurationError, match="--files-limit 'much' is not a size"):
        collect_artifacts.run(
            Options(artifacts=artifacts, files=(Path("*.csv"),), beside=beside, files_limit="much")
        )
