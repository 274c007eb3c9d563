"""Which outputs of a notebook are not those of its golden one, in the notebook's section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.report.summary.markdown_text import code, count, escape, paragraphs

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.summary.file_links import FileLinks

_MOST: Final = 20  # differences


def lines(notebook: NotebookJson, links: FileLinks) -> list[str]:
    """Return a sentence, and a line for each difference; nothing if nothing was compared."""
    golden = notebook["golden"]
    if golden is None:
        return []
    within = f", {count(golden['within'], 'value')} within the limits" if golden["within"] else ""
    ignored = f", {len(golden['ignored'])} not compared" if golden["ignored"] else ""
    how = f"{count(golden['differing'], 'output')} of" if golden["differing"] else "nothing in"
    differ = "differs" if golden["differing"] < 2 else "differ"  # noqa: PLR2004
    said = (
        f"Golden notebook {code(golden['path'])}: {how} {count(golden['compared'], 'cell')} "
        f"{differ}{within}{ignored}."
    )
    cells = {cell["index"]: cell for cell in notebook["cells"]}
    found = []
    for each in golden["differences"][:_MOST]:
        name = f"cell {each['cell']}"
        if cell := cells.get(each["index"]):
            name = links.cell(name, notebook, cell)
        what = f"{escape(each['output'])}: {escape(each['message'])}"
        found.append(f"- {name} ({code(each['title'])}), {what}")
    if (rest := golden["differing"] - len(found)) > 0:
        found.append(f"- and {rest} more")
    return paragraphs([said], found)
