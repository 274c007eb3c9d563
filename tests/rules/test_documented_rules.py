import re
from pathlib import Path

import pytest
from refusals import refusal
from rule_books import Changed, Written, notebook

from stepkit import rules

DOCS = (Path(__file__).parents[2] / "docs/rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_of_the_documentation_fits_a_notebook(written: Written, example: str) -> None:
    nb = notebook(
        'DATA_PATH = "/raid/census.h5ad"',
        "OUT_DIR = '/raid/out'" if "partial" not in example else "# partial results\nOUT_DIR = 1",
        "!wget http://127.0.0.1:9/",
        "adata = read()\nadata = adata[:1_000_000]",
        "n_top_genes = 5000",
        "print('download')",
        *["x = 1"] * 6,
        tags={6: ["download"]},
    )
    book = written(example)

    for variant in (None, *book.variants):
        patched = rules.apply(nb, book, variant=variant)
        assert bool(patched.changes) == bool(book.rules or variant)


def test_the_documented_message_is_the_real_one(changed: Changed) -> None:
    book = "# 1\n# 2\n# 3\n# 4\nrules:\n- {skip: {index: 1}}\n- set: {DATA_PTH: x}\n"

    message = refusal(changed, book, "x", "y", 'DATA_PATH = "/raid/census.h5ad"')

    assert message[message.index("rules.yaml") :] in " ".join(DOCS.split())
