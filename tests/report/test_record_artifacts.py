"""The artifacts in the record of a run: each file once, with what it is."""

from pathlib import Path

from recorded import summarized
from step_reports import write_report

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_files_of_the_manifest_and_of_steps_are_listed_once_with_their_role(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    file = {"size": 3, "sha256": SHA256}
    names = ["a.html", "a.ipynb", "cov.xml", "deep/b.h5ad", "results.xml", "x.log", "readme.txt"]
    found = [{**file, "path": name, "media_type": "text/plain"} for name in names]
    outputs = {"manifest": str(place / "manifest.json"), "found": found}
    executed = {"notebook": str(place / "a.ipynb"), "page": str(place / "a.html")}
    tested = {"junit": str(place / "results.xml"), "coverage-report": str(place / "cov.xml")}
    more = [{**file, "path": str(place / "a.ipynb")}, {**file, "path": "/other/c.csv"}]
    write_report(tmp_path / "reports", "collect-artifacts", outputs=outputs)
    write_report(tmp_path / "reports", "execute-notebook", outputs=executed, artifacts=more)
    write_report(tmp_path / "reports", "run-tests", outputs=tested)

    artifacts = summarized(tmp_path)["artifacts"]

    assert {a["path"]: a["role"] for a in artifacts} == {
        "a.html": "page", "a.ipynb": "notebook", "cov.xml": "coverage", "deep/b.h5ad": "data",
        "results.xml": "tests", "x.log": "log", "readme.txt": "", "/other/c.csv": "data",
    }  # fmt: skip
    assert len(artifacts) == 8
    assert artifacts[0] == {**file, "path": "a.html", "media_type": "text/plain", "role": "page"}
