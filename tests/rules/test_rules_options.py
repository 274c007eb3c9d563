"""Whose rules may tolerate errors: not those of the notebooks' authors."""

import subprocess
from pathlib import Path

import nbformat
import pytest
import refusals

from stepkit import rules
from stepkit.rules import rules_options
from stepkit.rules.rules_options import RulesOptions

SKIPS = "rules: [{skip: {text: wget}}]\n"
TOLERATES = "tolerate: [{ename: KeyError, reason: known}]\n"
IN_A_VARIANT = f"variants: {{lite: {{suffix: _l, {TOLERATES.strip()}}}}}\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run: a checkout of notebooks, and one of tests."""
    for name in ("source", "tests"):
        (tmp_path / f"run-1/{name}").mkdir(parents=True)
        subprocess.run(["git", "init", "-q", tmp_path / f"run-1/{name}"], check=True)
    return tmp_path / "run-1"


def apply(options: RulesOptions, notebook: Path | None = None) -> rules.Patched:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("!wget x")])
    return rules.apply(nb, rules_options.load(options, notebook), variant=options.variant)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(("text", "variant"), [(TOLERATES, None), (IN_A_VARIANT, "lite")])
def test_rules_of_the_notebooks_repository_do_not_tolerate_unless_it_is_allowed(
    run: Path, text: str, variant: str | None, *, link: bool
) -> None:
    path = run / "source/rules.yaml"
    path.write_text(text)
    if link:
        path = run.parent / "rules.yaml"
        path.symlink_to(run / "source/rules.yaml")
    given = RulesOptions(rules=path, checkouts=run, variant=variant)
    allowed = RulesOptions(
        rules=path, checkouts=run, variant=variant, allow_notebook_tolerance=True
    )

    refused = refusals.refusal(apply, given)

    assert refused.startswith(f"{path}, line 1: ")
    assert "(tolerate KeyError): the notebooks' repository may change cells" in refused
    assert refused.endswith("or pass --allow-notebook-tolerance true")
    assert apply(allowed).tolerances


def test_tolerances_of_a_variant_that_does_not_run_are_none(run: Path) -> None:
    (run / "source/rules.yaml").write_text(SKIPS + IN_A_VARIANT)

    patched = apply(RulesOptions(rules=run / "source/rules.yaml", checkouts=run))

    assert patched.skipped == 1
    assert not patched.tolerances


def test_rules_of_another_repository_tolerate(run: Path) -> None:
    (run / "tests/rules.yaml").write_text(TOLERATES)

    assert apply(RulesOptions(rules=run / "tests/rules.yaml", checkouts=run)).tolerances


@pytest.mark.parametrize("allowed", [False, True])
def test_rules_found_in_the_notebooks_checkout_for_want_of_another_do_not_tolerate(
    run: Path, *, allowed: bool
) -> None:
    (run / "source/ci").mkdir()
    (run / "source/ci/rules.yaml").write_text(TOLERATES)
    notebook = run / "source/a.ipynb"
    options = RulesOptions(rules=Path("ci/rules.yaml"), allow_notebook_tolerance=allowed)

    if allowed:
        assert apply(options, notebook).tolerances
    else:
        text = refusals.refusal(apply, options, notebook)
        assert "the notebooks' repository may change cells" in text


def test_a_link_in_the_notebooks_checkout_does_not_lead_to_other_rules(run: Path) -> None:
    (run / "tests/rules.yaml").write_text(SKIPS)
    (run / "source/rules.yaml").symlink_to("../tests/rules.yaml")

    text = refusals.refusal(apply, RulesOptions(rules=Path("rules.yaml")), run / "source/a.ipynb")

    assert text == (
        "rules.yaml in the notebooks' repository leads out of its repository, to "
        "../tests/rules.yaml: name a file of the repository"
    )


def test_a_link_of_the_notebooks_authors_does_not_make_rules_those_of_others(run: Path) -> None:
    (run.parent / "run-0/source").mkdir(parents=True)
    (run.parent / "run-0/source/rules.yaml").write_text(TOLERATES)
    (run / "source/rules.yaml").symlink_to("../../run-0/source/rules.yaml")

    text = refusals.refusal(apply, RulesOptions(rules=run / "source/rules.yaml", checkouts=run))

    assert "the notebooks' repository may change cells, but not excuse its own errors" in text


def test_rules_that_lie_in_another_repository_are_named_as_they_have_to_be_written(
    run: Path,
) -> None:
    (run / "tests/ci").mkdir()
    (run / "tests/ci/rules.yaml").write_text(SKIPS)
    missing, elsewhere = Path("ci/rulez.yaml"), Path("ci/rules.yaml")

    refused = refusals.refusal(apply, RulesOptions(rules=elsewhere, checkouts=run))

    assert refused.startswith("there is no file ci/rules.yaml: it is not /")
    assert refused.endswith("; write tests:ci/rules.yaml")
    for options in (
        RulesOptions(rules=missing, checkouts=run),
        RulesOptions(rules=elsewhere),
        RulesOptions(rules=run / "nosuch.yaml", checkouts=run),
    ):
        assert "write" not in refusals.refusal(apply, options)


def test_an_output_that_has_the_suffix_of_its_variant_already_is_exact(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("variants: {lite: {suffix: _lite}}\n")
    options = RulesOptions(rules=tmp_path / "rules.yaml", variant="lite")
    book, output = rules_options.load(options), tmp_path / "out_lite.ipynb"

    assert rules_options.named(options, book, output, exact=True) == output
    assert rules_options.named(options, book, tmp_path / "out.ipynb") == output
    refused = refusals.refusal(
        lambda path: rules_options.named(options, book, path, exact=True), tmp_path / "out.ipynb"
    )
    assert refused.startswith("variant lite has suffix _lite, but the other steps of this run read")
