import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepkit import rules
from stepkit.errors import ConfigurationError

DOCS = (Path(__file__).parents[2] / "docs/rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_of_the_documentation_fits_a_notebook(
    written: Callable[[str], rules.Book], notebook: Callable[..., Any], example: str
) -> None:
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


def test_the_documented_message_is_the_real_one(
    written: Callable[[str], rules.Book], notebook: Callable[..., Any]
) -> None:
    book = written("# 1\n# 2\n# 3\n# 4\nrules:\n- {skip: {index: 1}}\n- set: {DATA_PTH: x}\n")
    nb = notebook("x", "y", 'DATA_PATH = "/raid/census.h5ad"')

    with pytest.raises(ConfigurationError) as caught:
        rules.apply(nb, book)

    message = str(caught.value)
    assert message[message.index("rules.yaml") :] in " ".join(DOCS.split())
