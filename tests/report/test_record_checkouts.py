"""Checkouts in the record of a run, and the notebooks that come from them."""

from pathlib import Path

import pytest
from recorded import summarized
from step_reports import write_report

from stepkit.report.run_json import RunJson


def test_a_checkout_has_what_was_asked_and_what_was_got(tmp_path: Path) -> None:
    outputs = {
        "commit": "97959ef3", "url": "https://me:pw@example.org/a.git",
        "committer-date": 1_700_000_000,
    }  # fmt: skip
    asked = {"options": {"revision": "main"}, "step": "git-clone"}
    write_report(tmp_path / "reports", "clone-notebooks", outputs=outputs, **asked)

    assert summarized(tmp_path)["repositories"] == [
        {
            "step": "clone-notebooks", "url": "https://***@example.org/a.git",
            "revision": "main", "commit": "97959ef3", "committed": "2023-11-14T22:13:20+00:00",
        }
    ]  # fmt: skip


def test_a_checkout_that_failed_is_in_the_record_without_a_commit(tmp_path: Path) -> None:
    asked = {"url": "https://example.org/a.git", "revision": "main"}
    write_report(
        tmp_path / "reports", "clone-notebooks", step="git-clone", options=asked,
        status="failed", exit_code=4, reason="network",
    )  # fmt: skip

    assert summarized(tmp_path)["repositories"] == [
        {
            "step": "clone-notebooks", "url": "https://example.org/a.git", "revision": "main",
            "commit": "", "committed": None,
        }
    ]  # fmt: skip


def with_checkouts(run: Path, notebook: str) -> RunJson:
    """Return the record of ``notebook`` in a run with two checkouts, the second in the first."""
    for name, directory in {"source": "source", "shared": "source/shared"}.items():
        outputs = {"commit": name, "url": "", "checkout": str(run / directory)}
        write_report(run / "reports", f"clone-{name}", step="git-clone", outputs=outputs)
    options = {"notebook": notebook}
    write_report(run / "reports", "execute-notebook", outputs={"cells": []}, options=options)
    return summarized(run)


@pytest.mark.parametrize(
    ("notebook", "commit", "path"),
    [
        ("{run}/source/notebooks/a.ipynb", "source", "notebooks/a.ipynb"),
        ("{run}/source/shared/a.ipynb", "shared", "a.ipynb"),
        ("{run}/./source/x/../a.ipynb", "source", "a.ipynb"),
        ("{name}/source/a.ipynb", "source", "a.ipynb"),  # relative to the workspace
        ("{run}/source-of-others/a.ipynb", None, "../source-of-others/a.ipynb"),
        ("/elsewhere/a.ipynb", None, "/elsewhere/a.ipynb"),
    ],
)
def test_a_notebook_has_its_path_in_the_checkout_that_holds_it(
    tmp_path: Path, notebook: str, commit: str | None, path: str
) -> None:
    record = with_checkouts(tmp_path, notebook.format(run=tmp_path, name=tmp_path.name))

    (found,) = record["notebooks"]
    place = found["repository"]
    assert (None if place is None else record["repositories"][place]["commit"]) == commit
    assert found["in_repository"] == path


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("{name}/shared/ci/rules.yaml", ("../shared/ci/rules.yaml", 0, "ci/rules.yaml")),
        ("{name}/rules.yaml", ("../rules.yaml", None, "../rules.yaml")),
        ("/elsewhere/rules.yaml", ("/elsewhere/rules.yaml", None, "/elsewhere/rules.yaml")),
        (None, None),
    ],
)
def test_rules_have_their_path_in_the_checkout_that_holds_them(
    tmp_path: Path, rules: str | None, found: tuple[str, int | None, str] | None
) -> None:
    for name in ("source", "shared"):
        outputs = {"commit": name, "url": "", "checkout": str(tmp_path / name)}
        write_report(tmp_path / "reports", f"clone-{name}", step="git-clone", outputs=outputs)
    options = {"notebook": "a.ipynb", "rules": rules and rules.format(name=tmp_path.name)}
    write_report(tmp_path / "reports", "execute-notebook", outputs={"cells": []}, options=options)

    (notebook,) = summarized(tmp_path)["notebooks"]

    recorded = notebook["rules"]
    assert (recorded and tuple(recorded.values())) == found
