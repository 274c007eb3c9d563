import re
from pathlib import Path

import pytest

from stepkit.batch import select as batch_select
from stepkit.batch.planned_notebook import Settings
from stepkit.errors import ConfigurationError, Reason


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.ipynb", "a.ipynb", "deep/c {x} [1].ipynb", ".ipynb_checkpoints/a.ipynb"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(*patterns: str) -> list[str]:
    return [one.name for one in batch_select.find(patterns, Settings())]


@pytest.mark.usefixtures("source")
def test_paths_keep_their_order_and_a_pattern_is_sorted() -> None:
    assert names("source/b.ipynb", "source/a.ipynb") == ["b", "a"]
    assert names("source/*.ipynb") == ["a", "b"]
    assert names("source/**/*.ipynb") == ["a", "b", "c {x} [1]"]


@pytest.mark.usefixtures("source")
def test_a_notebook_that_two_patterns_match_runs_once_at_its_first_place() -> None:
    assert names("source/b.ipynb", "source/*.ipynb", "source/../source/b.ipynb") == ["b", "a"]


@pytest.mark.usefixtures("source")
def test_an_existing_file_whose_name_looks_like_a_pattern_is_taken_as_a_path() -> None:
    assert names("source/deep/c {x} [1].ipynb") == ["c {x} [1]"]


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("source/zzz*.ipynb", " (beside it: a.ipynb, b.ipynb)"),
        ("sauce/*.ipynb", ": there is no directory sauce"),
        ("*.ipynb", ""),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(pattern: str, hint: str) -> None:
    message = f"--notebooks {pattern!r} matches no file{hint}"

    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$") as caught:
        names("source/a.ipynb", pattern)

    assert caught.value.reason == Reason.NOT_FOUND


@pytest.mark.usefixtures("source")
def test_a_notebook_has_the_parameters_of_all_patterns_that_fit() -> None:
    given = ["source/*={n: 1, k: x}", "./source/b.ipynb={n: 2}"]

    found = batch_select.find(["source/*.ipynb", "source/deep/c*"], Settings(), given)

    assert [one.settings.parameters for one in found] == [
        {"n": 1, "k": "x"}, {"n": 2, "k": "x"}, {"n": 1, "k": "x"}
    ]  # fmt: skip


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("source/a.ipynb", "--parameters-of 'source/a.ipynb' is not PATTERN={NAME: VALUE}"),
        ("source/c.ipynb={n: 1}", "--parameters-of 'source/c.ipynb' fits no file"),
        ("source/a.ipynb=[1]", "--parameters-of source/a.ipynb is not a mapping of parameter"),
    ],
)
def test_parameters_of_no_notebook_are_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        batch_select.find(["source/a.ipynb"], Settings(), [text])
