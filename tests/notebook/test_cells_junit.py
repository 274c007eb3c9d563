from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junit_files import cases, properties, suites

from stepkit import redaction
from stepkit.errors import ConfigurationError, Evidence
from stepkit.notebook import cells_junit
from stepkit.notebook.cells_junit import Suite
from stepkit.notebook.cpu_fallback import CpuFallback, SlowFunction
from stepkit.notebook.verdict import CellRun, CellStatus

KEY_ERROR = Evidence(
    ename="KeyError",
    evalue="'pca'",
    traceback="\x1b[31mKeyError\x1b[0m  Traceback\n----> 1 variance",
    output=("loading", "done"),
)


def cell(number: int, status: CellStatus = "ok", **more: Any) -> CellRun:
    settings = {"index": number, "id": f"c{number}", "title": f"step_{number}()", "seconds": 1.5}
    return CellRun(number=number, status=status, **{**settings, **more})


def suite(*cells: CellRun, **more: Any) -> Suite:
    return Suite(notebook="source/analysis.ipynb", cells=cells, **more)


def test_a_cell_is_a_test_case_named_by_its_number_and_its_telling_line() -> None:
    (found,) = suites(cells_junit.render([suite(cell(1), cell(2, "expected-error"), seconds=3.25)]))

    assert (found.name, found.time) == ("source/analysis.ipynb", 3.25)
    assert cases(found) == [("cell 1: step_1()", "", ""), ("cell 2: step_2()", "", "")]
    first, second = found
    assert (first.classname, first.time) == ("source.analysis", 1.5)
    assert second.system_out == "raised an error that its tag raises-exception expects"


def test_an_error_is_a_failure_with_its_source_and_traceback() -> None:
    failed = suite(
        cell(1),
        cell(2, "error", error=KEY_ERROR),
        cell(3, "not-run", seconds=None),
        reason="cell-error",
        message="cell 2 of 3 raised KeyError",
        exit_code=3,
    )

    (found,) = suites(cells_junit.render([failed]))

    assert cases(found) == [
        ("cell 1: step_1()", "", ""),
        ("cell 2: step_2()", "failure", "KeyError: 'pca'"),
        ("cell 3: step_3()", "skipped", "not run: cell 2 of 3 raised KeyError"),
    ]
    (failure,) = list(found)[1].result
    assert failure.type == "KeyError"
    assert "----> 1 variance" in failure.text
    assert "\x1b" not in failure.text
    assert list(found)[1].system_out == "loading\ndone"


def test_a_cell_has_one_name_whether_it_fails_or_not() -> None:
    source = "def first(results):\n    return results['pca']\nvariance = first({})"
    passed = cell(4, title="variance = first({})")
    error = replace(KEY_ERROR, source=source, line=2)
    failed = cell(4, "error", title="return results['pca']", error=error)

    (before,) = suites(cells_junit.render([suite(passed)]))
    (after,) = suites(cells_junit.render([suite(failed, reason="cell-error", exit_code=3)]))

    assert cases(before) == [("cell 4: variance = first({})", "", "")]
    message = "KeyError: 'pca' in `return results['pca']`"
    assert cases(after) == [("cell 4: variance = first({})", "failure", message)]


def test_names_do_not_change_with_the_directory_of_the_run(tmp_path: Path) -> None:
    named = []
    for run in ("run-1", "run-2"):
        notebook = tmp_path / run / "source/notebooks/a.ipynb"
        notebook.parent.mkdir(parents=True)
        notebook.write_text("{}")
        (tmp_path / run / "source/.git").mkdir()
        (found,) = suites(cells_junit.render([Suite(notebook=str(notebook), cells=[cell(1)])]))
        named.append((found.name, found._elem.get("file"), next(iter(found)).classname))

    assert named == [("notebooks/a.ipynb", "notebooks/a.ipynb", "notebooks.a")] * 2


@pytest.mark.parametrize(
    ("reason", "exit_code"), [("kernel-died", 4), ("timeout", 3), ("cancelled", 143)]
)
def test_a_cell_that_did_not_end_is_an_error_with_the_reason(reason: str, exit_code: int) -> None:
    stack = "Thread 0x1: waiting"
    stopped = cell(2, "stopped", error=Evidence(stack=stack))
    ended = suite(cell(1), stopped, reason=reason, message="it hung", exit_code=exit_code)

    (found,) = suites(cells_junit.render([ended]))

    assert cases(found)[1] == ("cell 2: step_2()", "error", "it hung")
    (error,) = list(found)[1].result
    assert error.type == reason
    assert stack in error.text


def test_an_error_that_is_not_the_notebooks_fault_is_an_error_with_the_cause() -> None:
    broken = suite(
        cell(1, "error", error=KEY_ERROR), reason="gpu-missing", message="no GPU", exit_code=2
    )

    (found,) = suites(cells_junit.render([broken]))

    assert cases(found) == [("cell 1: step_1()", "error", "KeyError: 'pca'")]
    (error,) = next(iter(found)).result
    assert (error.type, error.text.split("\n")[0]) == ("gpu-missing", "no GPU")


@pytest.mark.parametrize(("reason", "shown"), [("known", "known"), ("", "no reason is given")])
def test_a_tolerated_error_is_skipped_with_its_reason(reason: str, shown: str) -> None:
    tolerated = cell(1, "tolerated", tolerance=reason, error=KEY_ERROR)

    (found,) = suites(cells_junit.render([suite(tolerated)]))

    assert cases(found) == [("cell 1: step_1()", "skipped", f"tolerated: {shown}")]
    (skipped,) = next(iter(found)).result
    assert skipped.text.startswith("KeyError: 'pca'\n")


def outputs(*cells: CellRun, **more: Any) -> Mapping[str, Any]:
    return {"cells": [asdict(one) for one in cells], "cells-total": len(cells), **more}


def test_a_cell_that_a_rule_skips_is_skipped_in_its_place_with_the_reason() -> None:
    changes = [
        {"rule": "skip", "cell": 2, "what": "cell 2 (`x`) is skipped: slow", "applied": True},
        {"rule": "set", "cell": 2, "what": "not done", "applied": False},
    ]
    injected = CellRun(number=0, index=0, id="p", title="n = 1", injected="parameters", status="ok")
    by_rule = replace(injected, index=4, id="stepkit-injected-1", injected="rule")
    known = outputs(injected, cell(1), cell(3), by_rule, **{"cells-total": 4, "changes": changes})

    (found,) = suites(cells_junit.render([cells_junit.with_outputs(suite(), known)]))

    assert cases(found) == [
        ("injected parameters: n = 1", "", ""),
        ("cell 1: step_1()", "", ""),
        ("cell 2", "skipped", "cell 2 (`x`) is skipped: slow"),
        ("cell 3: step_3()", "", ""),
        ("stepkit-injected-1: n = 1", "", ""),
        ("cell 4", "skipped", "skipped"),
    ]


def test_memory_peaks_are_properties_and_words() -> None:
    peaks = cell(1, gpu_peak=3 << 30, rss_peak=1 << 30)
    gpu = {"devices": [{"name": "NVIDIA H200"}, {"name": None}]}
    dead = cell(2, "stopped", gpu_peak=0, rss_peak=0)
    known = outputs(
        peaks, dead, kernel="python3", gpu=gpu, attempts=[{}, {}], **{"gpu-memory-peak": 3 << 30}
    )

    (found,) = suites(cells_junit.render([cells_junit.with_outputs(suite(), known)]))

    assert properties(found) == {
        "kernel": "python3",
        "attempts": "2",
        "gpu": "NVIDIA H200, unknown",
        "gpu_peak": str(3 << 30),
        "rss_peak": str(1 << 30),
        "cell 1.gpu_peak": str(3 << 30),
        "cell 1.rss_peak": str(1 << 30),
    }
    assert next(iter(found)).system_out == "GPU memory peak: 3.0 GiB\nmemory peak: 1.0 GiB"


def test_what_a_cell_ran_on_the_cpu_is_said_in_words() -> None:
    slow = SlowFunction(name="Series.map", calls=1, seconds=0.5, why="TypeError: no")
    did = CpuFallback(
        share=0.5, calls=2, cpu_calls=1, out_of_memory=1, seconds=1.0, cpu_seconds=0.5,
        functions=(slow,),
    )  # fmt: skip
    known = outputs(cell(1, cpu_fallback=did), cell(2))

    (found,) = suites(cells_junit.render([cells_junit.with_outputs(suite(), known)]))

    first, second = found
    assert first.system_out == (
        "50 % of calls on the CPU: Series.map; 1 call for want of GPU memory"
    )
    assert second.system_out is None


@pytest.mark.parametrize(
    ("exit_code", "kind"), [(2, "error"), (3, "failure"), (4, "error"), (None, "error")]
)
def test_a_run_that_failed_outside_of_its_cells_has_a_case_that_says_so(
    exit_code: int | None, kind: str
) -> None:
    refused = Suite(notebook="a.ipynb", reason="not-found", message="none", exit_code=exit_code)
    no_page = replace(refused, cells=[cell(1)])

    one, two = suites(cells_junit.render([refused, no_page]))

    assert cases(one) == [("the whole run", kind, "none")]
    assert cases(two) == [("cell 1: step_1()", "", ""), ("the whole run", kind, "none")]


def test_a_notebook_without_cells_passes_and_one_that_did_not_run_is_skipped() -> None:
    one, two = suites(cells_junit.render([suite(), suite(did_not_run="not run: a failed")]))

    assert cases(one) == [("the whole run", "", "")]
    assert cases(two) == [("the whole run", "skipped", "not run: a failed")]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.ipynb", "a"),
        ("./source/v1.2/a.b.ipynb", "source.v1_2.a_b"),
        ("/work/source/a.ipynb", "work.source.a"),
        ("../a.ipynb", "a"),
    ],
)
def test_the_class_is_the_path_in_the_form_of_a_module(path: str, name: str) -> None:
    (found,) = suites(cells_junit.render([Suite(notebook=path, cells=[cell(1)])]))

    assert next(iter(found)).classname == name


def test_secrets_are_masked_everywhere() -> None:
    secret = "hush-1234567"
    redaction.register(secret)
    error = Evidence(ename="E", evalue=secret, traceback=secret, source=secret, output=(secret,))
    hostile = suite(
        cell(1, "error", title=secret, error=error),
        cell(2, "tolerated", tolerance=secret, error=error),
        message=secret,
        exit_code=3,
        properties={"kernel": secret},
    )

    assert secret.encode() not in cells_junit.render([hostile, suite(did_not_run=secret)])


@given(st.text(max_size=30))
def test_any_text_makes_a_file_that_can_be_read(text: str) -> None:
    odd = text + "\ud800\ufffe\x00\x1b[31m]]>&<'\"\n"
    error = Evidence(ename=odd, evalue=odd, traceback=odd, source=odd, output=(odd,), stack=odd)
    hostile = Suite(
        notebook=f"{odd}/{odd}",
        cells=[
            cell(1, "error", id=odd, title=odd, error=error),
            cell(2, "stopped", error=error),
            cell(3, "tolerated", tolerance=odd, error=error),
            cell(0, title=odd, id=odd, injected="rule"),
        ],
        skipped={4: odd},
        reason=odd,
        message=odd,
        exit_code=3,
        properties={odd: odd},
    )

    (found,) = suites(cells_junit.render([hostile]))

    assert [kind for _, kind, _ in cases(found)] == ["", "failure", "error", "skipped", "skipped"]


def attempt(number: int, reason: str, **more: Any) -> dict[str, Any]:
    settings = {"status": "failed", "message": f"it ended by {reason}", "exit_code": 4,
                "cell": None, "error": None}  # fmt: skip
    return {"number": number, "reason": reason, **settings, **more}


def flaky(*attempts: dict[str, Any], last: str = "succeeded") -> Any:
    """Return the test cases of two cells that passed after these attempts."""
    tried = [*attempts, attempt(len(attempts) + 1, "ok", status=last)]
    outputs = {"cells": [asdict(cell(1)), asdict(cell(2))], "attempts": tried}
    document = cells_junit.render([cells_junit.with_outputs(suite(), outputs)])
    assert suites(document)  # Jenkins takes it
    return {
        case.get("name"): [
            (e.tag, e.get("type"), e.get("message"), e.findtext("stackTrace"))
            for e in case
            if e.tag.startswith("flaky")
        ]
        for case in ET.fromstring(document).iter("testcase")
    }


def test_earlier_attempts_of_a_flaky_notebook_stand_at_the_cell_that_ended_them() -> None:
    died = attempt(1, "kernel-died", exit_code=3, cell=2, error=asdict(KEY_ERROR))
    hung = attempt(2, "kernel-hung", cell=2)

    found = flaky(died, hung)

    assert list(found) == ["cell 1: step_1()", "cell 2: step_2()"]
    assert found["cell 1: step_1()"] == []
    (first, second) = found["cell 2: step_2()"]
    assert first[:3] == ("flakyFailure", "kernel-died", "attempt 1: it ended by kernel-died")
    assert "----> 1 variance" in first[3]
    assert second[:3] == ("flakyError", "kernel-hung", "attempt 2: it ended by kernel-hung")


def test_an_attempt_that_ended_before_its_first_cell_stands_at_the_whole_run() -> None:
    found = flaky(attempt(1, "gpu-busy", exit_code=2))

    assert [name for name, ends in found.items() if ends] == ["the whole run"]
    assert found["the whole run"][0][:2] == ("flakyError", "gpu-busy")


def test_a_lower_allocator_and_a_notebook_that_failed_in_the_end_are_not_flaky() -> None:
    full = attempt(1, "gpu-out-of-memory", exit_code=3, cell=2)

    assert not any(flaky(full).values())
    assert not any(flaky(attempt(1, "kernel-died", cell=2), last="failed").values())


def test_a_file_that_would_be_too_large_has_the_end_of_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells_junit, "MAX_BYTES", 20_000)
    long = Evidence(ename="E", traceback="\n".join(["y" * 900] * 40), stack="the last line")
    failed = suite(*[cell(n, "tolerated", error=long, rss_peak=7 << 20) for n in range(1, 10)])

    document = cells_junit.render([failed])

    assert len(document) <= 20_000
    (found,) = suites(document)
    assert len(list(found)) == 9
    texts = [case.result[0].text for case in found]
    assert all(len(text) == 500 and text.startswith("...y") for text in texts)
    assert all("the last line" in text for text in texts)


def test_a_file_that_would_still_be_too_large_counts_the_cells_that_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells_junit, "MAX_BYTES", 20_000)
    status: dict[int, CellStatus] = {7: "tolerated"}
    passed = [cell(n, status.get(n, "ok"), title="x" * 400) for n in range(1, 100)]
    many = suite(*passed, seconds=9.0)
    last = cell(100, "error", error=KEY_ERROR)
    failed = replace(many, cells=[*many.cells, last], exit_code=3)

    document = cells_junit.render([many, failed])

    assert len(document) <= 20_000
    one, two = suites(document)
    assert cases(one) == [("99 cells that are not listed", "", "")]
    assert next(iter(one)).time == 9.0
    assert cases(two) == [
        ("cell 100: step_100()", "failure", "KeyError: 'pca'"),
        ("99 cells that are not listed", "", ""),
    ]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new/cells.xml"

    cells_junit.write(path, [suite(cell(1))])

    assert len(suites(path)) == 1
    assert [file.name for file in path.parent.iterdir()] == ["cells.xml"]


def test_a_file_that_is_not_a_junit_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "analysis.ipynb"
    path.write_text('{"cells": []}')

    with pytest.raises(ConfigurationError, match="the file there is not a JUnit file"):
        cells_junit.write(path, [suite(cell(1))])

    assert path.read_text() == '{"cells": []}'


def test_an_empty_file_and_an_earlier_junit_file_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cells.xml"
    path.touch()

    for number in (1, 2):
        cells_junit.write(path, [suite(cell(number))])

        (found,) = suites(path)
        assert cases(found) == [(f"cell {number}: step_{number}()", "", "")]
