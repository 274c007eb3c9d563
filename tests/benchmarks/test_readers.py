"""What a reader of a notebook notices while somebody writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import process
from benchmarks.readers import Reader

if TYPE_CHECKING:
    from pathlib import Path


def test_a_reader_notices_a_torn_file_and_one_that_went_back(tmp_path: Path) -> None:
    path = tmp_path / "out.ipynb"
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [], "metadata": {}}
    whole, torn = [cell, cell], json.dumps({"cells": []})[:-1]

    with Reader(path) as reader:
        for wanted, content in enumerate((json.dumps({"cells": whole}), torn, '{"cells": []}'), 1):
            scratch = tmp_path / "scratch"
            scratch.write_text(content)
            scratch.replace(path)
            assert process.wait_until(lambda: reader.contents == wanted, 10)  # noqa: B023

    assert (reader.contents, reader.torn) == (3, 1)
    assert reader.reads >= reader.contents
    assert reader.older == "cells 0 after 2"
