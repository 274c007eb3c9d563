"""Notebooks with outputs, as a kernel leaves them."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image, ImageDraw

v4 = nbformat.v4


def printed(text: str, name: str = "stdout") -> Any:
    return v4.new_output("stream", name=name, text=text)


def shown(**data: Any) -> Any:
    """An output of a cell; ``html`` and ``png`` stand for their media types."""
    types = {
        "html": "text/html",
        "png": "image/png",
        "plain": "text/plain",
        "json": "application/json",
    }
    return v4.new_output("display_data", data={types[name]: value for name, value in data.items()})


def raised(ename: str, evalue: str) -> Any:
    return v4.new_output("error", ename=ename, evalue=evalue, traceback=[])


def frame(*scores: object, columns: tuple[str, ...] = ("cluster", "score")) -> str:
    """A DataFrame as pandas shows it."""
    heads = "".join(f"<th>{name}</th>" for name in ("", *columns))
    rows = "".join(f"<tr><th>{n}</th><td>a</td><td>{s}</td></tr>" for n, s in enumerate(scores))
    return (
        "<style scoped>.dataframe tbody tr th { vertical-align: top; }</style>"
        f'<table border="1" class="dataframe"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table><p>{len(scores)} rows by {len(columns)} columns</p>"
    )


def circle(left: int = 30, *, size: tuple[int, int] = (100, 100), fill: str = "red") -> str:
    """A picture in base64."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((left, 20, left + 40, 60), fill=fill)
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def cell(source: str, *outputs: Any, tags: tuple[str, ...] = ()) -> Any:
    metadata = {"tags": list(tags)} if tags else {}
    return v4.new_code_cell(source, outputs=list(outputs), execution_count=1, metadata=metadata)


def write(path: Path, *cells: Any, language: str = "python") -> Path:
    """Write a notebook whose cells have the ids c1, c2, ..."""
    kernel = {"name": language, "display_name": language, "language": language}
    nb = v4.new_notebook(metadata={"kernelspec": kernel})
    for number, each in enumerate(cells, 1):
        nb.cells.append({**each, "id": f"c{number}"})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.from_dict(nb), path)
    return path
