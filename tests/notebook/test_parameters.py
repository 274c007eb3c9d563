import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest

from stepkit.errors import ConfigurationError
from stepkit.notebook import parameters as notebook_parameters


def notebook(*sources: str, tagged: bool) -> Any:
    nb = nbformat.v4.new_notebook()
    nb.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if tagged:
        nb.cells[0].metadata["tags"] = ["parameters"]
    return nb


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("None", None), ("7", 7), ("0.5", 0.5), ("1e5", 1e5), ("true", "true")],
)
def test_guesses_types_as_papermill_does(text: str, value: object) -> None:
    assert notebook_parameters.guess(text) == value
    assert type(notebook_parameters.guess(text)) is type(value)


def test_a_value_may_hold_equal_signs() -> None:
    assert notebook_parameters.pairs(["url=http://x/?a=b"], "--parameters") == {
        "url": "http://x/?a=b"
    }


@pytest.mark.parametrize("item", ["n", "=1", "2n=1", "a b=1"])
def test_text_that_is_not_a_name_and_a_value_is_refused(item: str) -> None:
    with pytest.raises(ConfigurationError, match="is not NAME=VALUE"):
        notebook_parameters.pairs([item], "--parameters")


def test_yaml_keeps_dates_as_text_and_lists_as_lists() -> None:
    values = notebook_parameters.from_yaml("{day: 2026-11-22, genes: [A, B]}", "--parameters-yaml")

    assert values == {"day": "2026-11-22", "genes": ["A", "B"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [("[1", "is not YAML"), ("[1]", "is not a mapping"), ("1: 2", "not a mapping")],
)
def test_yaml_that_names_no_parameters_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        notebook_parameters.from_yaml(text, "--parameters-yaml")


@pytest.mark.parametrize("text", ["n: {1: a, b: 2}", "n: !!set {a, b}", "n: !!binary /w=="])
def test_a_value_that_no_notebook_can_store_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the parameter 'n' cannot be stored"):
        notebook_parameters.join(
            {}, base64_texts=(), paths=(), yaml_texts=(text,), guessed=(), raw=()
        )


def test_reads_base64_of_yaml() -> None:
    text = base64.b64encode(b"n: 3").decode()

    assert notebook_parameters.from_base64(text, "-b") == {"n": 3}
    with pytest.raises(ConfigurationError, match="-b is not base64"):
        notebook_parameters.from_base64("???", "-b")


def test_a_missing_parameters_file_is_named_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "lite.yaml").write_text("n: 3")

    assert notebook_parameters.from_file(tmp_path / "lite.yaml") == {"n": 3}
    with pytest.raises(ConfigurationError, match=r"did you mean lite\.yaml"):
        notebook_parameters.from_file(tmp_path / "light.yaml")


def test_accepts_what_the_parameters_cell_assigns() -> None:
    nb = notebook("n = 0  # 0 = all\nurl: str = 'x?a=b'\n(a, b) = 1, 2", "print(n)", tagged=True)

    notebook_parameters.check_known(nb, ["n", "url", "a", "b"])


def test_an_unknown_parameter_is_an_error_that_names_the_near_one() -> None:
    nb = notebook("n_top_genes = 2000", tagged=True)

    with pytest.raises(ConfigurationError, match="no parameter 'n_top_gens': did you mean n_top_g"):
        notebook_parameters.check_known(nb, ["n_top_gens"])


def test_an_untagged_notebook_must_not_overwrite_the_parameter() -> None:
    nb = notebook("import math", "%matplotlib inline\nn = 10", "print(n)", tagged=False)

    with pytest.raises(
        ConfigurationError, match="assigns 'n' itself in cell 2 and would overwrite"
    ):
        notebook_parameters.check_known(nb, ["n"])


def test_an_untagged_notebook_must_use_the_parameter() -> None:
    nb = notebook("print(n)", tagged=False)

    notebook_parameters.check_known(nb, ["n"])
    with pytest.raises(ConfigurationError, match="never uses the parameter 'm'"):
        notebook_parameters.check_known(nb, ["m"])


def test_an_assignment_that_reads_the_parameter_does_not_overwrite_it() -> None:
    nb = notebook("n = n or 10", "%%bash\nn=1", "this is (no python", tagged=False)

    notebook_parameters.check_known(nb, ["n"])


def test_a_report_shows_parameters_as_json_without_secrets() -> None:
    given: dict[str, Any] = {
        "n_pcs": 50, "genes": ["CD3E"], "limit": float("inf"), "max_tokens": 8, "hub_token": "hf_x",
        "apiKey": "k", "DB_PASSWORD": 1234, "token": "", "long": "x" * 2000,
    }  # fmt: skip

    shown = notebook_parameters.for_report(given)

    assert len(shown.pop("long")) == 1000
    assert shown == {
        "n_pcs": 50, "genes": ["CD3E"], "limit": "Infinity", "max_tokens": 8, "hub_token": "***",
        "apiKey": "***", "DB_PASSWORD": "***", "token": "",
    }  # fmt: skip
