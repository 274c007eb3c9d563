"""A cell is named by the line by which a person recognises it."""

import pytest

from stepkit.notebook.cell_title import title


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("import scanpy as sc\nadata = sc.read(path)\nsc.pp.pca(adata)", "sc.pp.pca(adata)"),
        ("# load\n\nload()  # now", "load()"),
        ("run()\n\ndef later(x):\n    return x", "run()"),
        ("plot(\n    adata,\n    color='leiden',\n)", "plot( adata, color='leiden', )"),
        ("if present:\n    load(path)\n    x", "if present: load(path)"),
        ("if gpu:\n    fit()\nelse:\n    wait()", "if gpu: fit()"),
        ("try:\n    fit(model)\nexcept ValueError:\n    pass", "try: fit(model)"),
        ("try:\n    import cupy\nexcept ImportError:\n    pass", "try: import cupy"),
        ("if main:\n    # all\n    if lock:\n        go()", "if main: if lock: go()"),
        ("if a: b(); c()", "if a: b(); c()"),
        ("if (a and\n    b):  # why\n    c()", "if (a and b): c()"),
        ("plot(adata)\nplt.tight_layout()\nplt.show()", "plot(adata)"),
        ("adata = load()\nadata", "adata = load()"),
        ("fit()\n'a docstring'", "fit()"),
        ("fit()\nsizes.rename_axis('n').to_frame('cells').T", "fit()"),
        ("fit()\ntable[columns].describe().round(2)", "fit()"),
        ("fit()\ntable[:5]", "fit()"),
        ("load(path)\nsc.tl.umap(adata)", "sc.tl.umap(adata)"),
        ("df.groupby('a').mean()", "df.groupby('a').mean()"),
        ("import matplotlib.pyplot as plt\nplt.show()", "plt.show()"),
        ("adata", "adata"),
        ("é = 'é'; plot(é)  # twice", "é = 'é'; plot(é)"),
        ("for name in names:\n    print(name)", "for name in names:"),
        ("    indented = 1\n    show(indented)", "show(indented)"),
        ("%%time\nimport os\nfit(model)", "fit(model)"),
        ("x = 1\n!nvidia-smi", "!nvidia-smi"),
        ("from a import b\nimport c\n@cached\ndef load(path):\n    pass", "def load(path):"),
        ("import os\nimport sys", "import os"),
        ("%%bash\n# list\nls -l", "ls -l"),
        ("library(ggplot2)\nx <- read.csv(1)\n", "x <- read.csv(1)"),
        ("x = 1\ndef (:", "x = 1"),
        ("# only a comment", "# only a comment"),
        ("", ""),
        ("data = [" + "1, " * 40_000 + "]", "data = [" + "1, " * 23 + "..."),
    ],
)  # fmt: skip
def test_the_title_is_the_last_statement_that_does_something(source: str, shown: str) -> None:
    assert title(source) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [(2, "return {}[x]"), (4, "deep('pca')"), (3, "deep('pca')"), (9, "deep('pca')")],
)
def test_the_line_that_failed_is_the_title_unless_it_is_blank(line: int, shown: str) -> None:
    assert title("def deep(x):\n    return {}[x]\n\ndeep('pca')", line) == shown
