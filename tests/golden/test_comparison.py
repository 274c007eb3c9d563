"""A notebook is compared with a golden one, cell by cell, as rules say."""

from pathlib import Path
from typing import Any

import pytest
from golden_notebooks import cell, circle, printed, raised, shown, write
from refusals import refusal

from stepkit import rules
from stepkit.golden import golden_file, image_difference
from stepkit.golden.comparison import Golden
from stepkit.golden.differences import Comparison
from stepkit.notebook import ipynb
from stepkit.rules.rule import Compare


def declared(directory: Path, text: str) -> Compare:
    (directory / "rules.yaml").write_text(text)
    return rules.load(directory / "rules.yaml").comparison(None)


def compare(golden: Path, new: Path, said: Compare | None = None) -> Comparison:
    kept = Golden(golden, said or Compare())
    executed = ipynb.add_ids(ipynb.read(new))
    kept.check(executed, executed, new)
    return kept.compare(executed, new)


def both(directory: Path, golden: list[Any], new: list[Any]) -> tuple[Path, Path]:
    return write(directory / "golden.ipynb", *golden), write(directory / "new.ipynb", *new)


def test_each_cell_is_compared_and_the_first_difference_is_named(tmp_path: Path) -> None:
    golden, new = both(
        tmp_path,
        [cell("a", printed("1")), cell("b", printed("2")), cell("c", printed("3"))],
        [cell("a", printed("1")), cell("b", printed("2.5")), cell("c", printed("4"))],
    )

    found = compare(golden, new)

    assert found.message == (
        f"cell 2 (`b`) differs from {golden}: stdout: 2.5 is not 2 (25 % off, rtol 1e-09); so does "
        "1 cell more"
    )
    assert (found.compared, found.differing, found.cells) == (3, 2, [2, 3])
    assert [(each.id, each.index, each.new) for each in found.differences] == [
        ("c2", 1, "2.5"),
        ("c3", 2, "4"),
    ]


def test_each_cell_that_differs_is_reported_however_many_do(tmp_path: Path) -> None:
    golden, new = both(
        tmp_path,
        [cell(f"a{n}", shown(plain="1"), shown(plain="1")) for n in range(60)],
        [cell(f"a{n}", shown(plain="2"), shown(plain="2")) for n in range(60)],
    )

    found = compare(golden, new)

    assert found.message.endswith("so do 59 cells more")
    assert (found.differing, len(found.cells)) == (120, 60)
    assert [len(each.new) for each in found.differences] == [1] * 50 + [0] * 35


def test_rules_say_what_may_differ_and_in_which_cells(tmp_path: Path) -> None:
    golden, new = both(
        tmp_path,
        [
            cell("a", printed("1.0")),
            cell("b", printed("2.0"), tags=("noisy",)),
            cell("c"),
            cell("d"),
        ],
        [
            cell("a", printed("1.01")),
            cell("b", printed("2.5"), tags=("noisy",)),
            cell("c", printed("4")),
            cell("d", printed("Wall time: 3 s")),
        ],
    )
    said = declared(
        tmp_path,
        "compare:\n"
        "  rtol: 0.02\n"
        "  cells:\n"
        "    - {cells: {tag: noisy}, rtol: 0.3}\n"
        "    - {cells: {regex: '^[cd]'}, ignore: true, reason: drawn without a seed}\n"
        "    - {cells: {index: 4}, ignore: false}\n"
        "    - {cells: {text: d}, streams: none}\n",
    )

    found = compare(golden, new, said)

    assert (
        found.message == f"3 cells as in {golden}, 2 values within the limits, 1 cell not compared"
    )
    assert (found.within, round(found.largest, 2)) == (2, 0.25)
    assert [(each.cell, each.why) for each in found.ignored] == [(3, "drawn without a seed")]


def test_a_cell_that_rules_skipped_is_not_compared(tmp_path: Path) -> None:
    skipped = cell("a", tags=("skip-execution", "skipped-by-stepkit"))
    golden, new = both(tmp_path, [cell("a", printed("1"))], [skipped])

    assert [each.why for each in compare(golden, new).ignored] == ["it was not run"]


def test_what_a_variant_says_of_outputs_replaces_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "compare: {golden: a.ipynb}\nvariants: {lite: {compare: {golden: b.ipynb}}, full: {}}"
    )
    book = rules.load(tmp_path / "rules.yaml")

    found = [book.comparison(variant).golden for variant in (None, "full", "lite")]

    assert found == [tmp_path / name for name in ("a.ipynb", "a.ipynb", "b.ipynb")]


def test_a_selector_that_means_no_cell_is_refused(tmp_path: Path) -> None:
    golden, new = both(tmp_path, [cell("a", printed("1"))], [cell("a", printed("1"))])
    said = declared(tmp_path, "compare: {cells: [{cells: {index: 7}, ignore: true}]}")

    assert refusal(compare, golden, new, said) == (
        f"{tmp_path}/rules.yaml, line 1: compare, cells, 1. ({{index: 7}}) means no cell: the "
        "notebook has 1 such cell"
    )


def test_the_markers_of_nbval_are_obeyed(tmp_path: Path) -> None:
    golden = [
        cell("# NBVAL_IGNORE_OUTPUT\na", printed("1")),
        cell("b", printed("1"), tags=("nbval-skip",)),
        cell("c\n  # NBVAL_CHECK_OUTPUT", printed("1")),
        cell("d  # NBVAL_SKIP", printed("1")),
    ]
    changed = [{**each, "outputs": [printed("2")]} for each in golden]
    kept, new = both(tmp_path, golden, changed)

    assert compare(kept, new).cells == [3, 4]
    assert compare(kept, new, Compare(only_marked=True)).cells == [3]


@pytest.mark.parametrize(
    ("golden", "language", "message"),
    [
        ([cell("a", printed("1"))], "R", "is of another kernel: its language is r, and that of"),
        ([cell("a", printed("1")), cell("b")], "python", "2 code cells, and not 1"),
        ([cell("a")], "python", "no outputs to compare with: it never ran, or they were cleared"),
    ],
)
def test_a_golden_file_that_does_not_fit_is_refused_with_what_to_do(
    tmp_path: Path, golden: list[Any], language: str, message: str
) -> None:
    golden[0]["execution_count"] = None
    kept = write(tmp_path / "golden.ipynb", *golden, language=language)
    new = write(tmp_path / "new.ipynb", cell("a", printed("1")))

    found = refusal(compare, kept, new)

    assert message in found
    assert f"stepkit compare-notebook {kept} EXECUTED --accept" in found


def test_a_cell_that_was_replaced_by_another_is_refused(tmp_path: Path) -> None:
    kept, new = both(tmp_path, [cell("a", printed("1"))], [cell("b", printed("1"))])
    new.write_text(new.read_text().replace('"c1"', '"another"'))

    assert "its cell 1 is `a`, and not `b`" in refusal(compare, kept, new)


def test_a_cell_that_a_rule_changed_is_still_the_same_cell(tmp_path: Path) -> None:
    kept, new = both(tmp_path, [cell("n = 100", printed("1"))], [cell("n = 5", printed("1"))])

    assert compare(kept, new).differing == 0


def test_without_pillow_images_are_refused_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, new = both(tmp_path, [cell("a", shown(png=circle()))], [cell("a", shown(png=circle()))])
    monkeypatch.setattr(image_difference, "find_spec", lambda _: None)

    assert "install stepkit[compare]" in refusal(compare, kept, new)
    ignored = declared(tmp_path, "compare: {cells: [{cells: {index: 1}, ignore: true}]}")
    assert compare(kept, new, ignored).compared == 0


def test_the_images_of_a_report_keep_within_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [[cell("a", shown(png=circle(30 + n + m))) for n in range(3)] for m in (0, 5)]
    kept, new = both(tmp_path, *pictures)
    size = sum(map(len, compare(kept, new).differences[0].images))
    monkeypatch.setattr("stepkit.golden.comparison._MOST_IMAGES", int(1.5 * size))

    found = compare(kept, new)

    assert [len(each.images) for each in found.differences] == [3, 0, 0]


def test_an_accepted_notebook_is_written_without_the_times_of_its_run(tmp_path: Path) -> None:
    new = write(tmp_path / "new.ipynb", cell("a", printed("1")))
    text = new.read_text().replace('"metadata": {}', '"metadata": {"papermill": {"duration": 1.5}}')
    new.write_text(text)
    (tmp_path / "golden.ipynb").write_text("old")

    golden_file.accept(new, tmp_path / "golden.ipynb")

    assert compare(tmp_path / "golden.ipynb", new).differing == 0
    assert "duration" in new.read_text()
    assert "duration" not in (tmp_path / "golden.ipynb").read_text()


def test_a_notebook_that_failed_does_not_become_golden(tmp_path: Path) -> None:
    new = write(tmp_path / "new.ipynb", cell("a"), cell("b", raised("KeyError", "'x'")))
    expected = cell("b", raised("KeyError", "'x'"), tags=("raises-exception",))
    (tmp_path / "golden.ipynb").write_text("old")

    message = refusal(golden_file.accept, new, tmp_path / "golden.ipynb")

    assert "its cell 2 failed with KeyError" in message
    assert (tmp_path / "golden.ipynb").read_text() == "old"
    stopped = cell("b")
    stopped["metadata"] = {"papermill": {"exception": True}}
    stopped = write(tmp_path / "stopped.ipynb", stopped)
    assert "its cell 1 failed;" in refusal(golden_file.accept, stopped, tmp_path / "golden.ipynb")
    golden_file.accept(write(tmp_path / "new.ipynb", expected), tmp_path / "golden.ipynb")


def test_a_notebook_that_did_not_run_does_not_become_golden(tmp_path: Path) -> None:
    later = cell("b")
    later["execution_count"] = None
    new = write(tmp_path / "new.ipynb", cell("a", printed("1")), later)

    message = refusal(golden_file.accept, new, tmp_path / "golden.ipynb")

    assert "its cell 2 did not run" in message
    assert not (tmp_path / "golden.ipynb").exists()


def test_a_golden_notebook_that_is_a_link_is_written_where_it_points(tmp_path: Path) -> None:
    new = write(tmp_path / "new.ipynb", cell("a", printed("2")))
    write(tmp_path / "real.ipynb", cell("a", printed("1")))
    (tmp_path / "golden.ipynb").symlink_to("real.ipynb")

    golden_file.accept(new, tmp_path / "golden.ipynb")

    assert (tmp_path / "golden.ipynb").is_symlink()
    assert compare(tmp_path / "real.ipynb", new).differing == 0


def test_what_is_not_a_valid_notebook_does_not_become_golden(tmp_path: Path) -> None:
    new = write(tmp_path / "new.ipynb", cell("a", printed("1")))
    new.write_text(new.read_text().replace('"name": "stdout"', '"name": 1'))

    assert "is not a valid notebook: " in refusal(
        golden_file.accept, new, tmp_path / "golden.ipynb"
    )
    assert not (tmp_path / "golden.ipynb").exists()
