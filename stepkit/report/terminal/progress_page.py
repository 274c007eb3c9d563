"""A notebook that runs, on a terminal: a page that is drawn again and again, or a line a change."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed
from stepkit.formats.plain_text import plain
from stepkit.report.terminal.words import line_of
from stepkit.system.status_line import fitting, folded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.notebook.progress_json import EndedCellJson, ProgressJson
    from stepkit.report.terminal.paint import Paint

_BAR: Final = 40  # columns
_GPU_BAR: Final = 20
_MOST_ENDED: Final = 5  # cells that ended before the one that runs
_MOST_FOOT: Final = 6  # lines of the sentence at the end
_LEAST_ROWS: Final = 8
_STATES: Final = {"succeeded": "passed"}


def progress_page(now: ProgressJson, paint: Paint, *, rows: int, note: str = "") -> str:
    """Return the page, of at most ``rows`` lines that fit in one row each.

    The lines that were printed last get what room is left; ``note`` is shown at the end. Nothing
    in ``now`` can act on the terminal.
    """
    ending = now["ending"]
    head = [*_head(now, paint), "", *_cells(now, paint), *_memory(now, paint)]
    foot = folded(_line(ending["message"]), paint.width)[:_MOST_FOOT] if ending else []
    foot += [paint.state("incomplete", fitting(_line(note), paint.width))] if note else []
    room = max(rows, _LEAST_ROWS) - len(head) - len(foot) - 2
    lines = now["lines"][-room:] if room > 0 else []
    printed = [paint.faint(fitting(_printed(line), paint.width)) for line in lines]
    parts = [["", *part] for part in (printed, foot) if part]
    return "\n".join([*head, *chain(*parts)][: max(rows, _LEAST_ROWS)])


def progress_lines(before: ProgressJson | None, now: ProgressJson) -> Iterator[str]:
    """Yield a line for each thing that changed between two states: a cell began, or ended."""
    if before is None or before["attempt"] != now["attempt"]:
        name = _line(now["notebook"])
        attempt = f", attempt {now['attempt']}" if now["attempt"] > 1 else ""
        yield f"{name}{attempt}: {now['cells_total']} cells, since {_line(now['started'])[:19]}Z"
        before = None
    known = len(before["cells"]) if before else 0
    for cell in now["cells"][known:]:
        yield f"{_name(cell)}: {cell['status']} in {elapsed(cell['seconds'])}"
    running, old = now["cell"], before["cell"] if before else None
    if running and (old is None or old["began"] != running["began"]):
        yield _line(f"{running['name']}: {running['title']}")
    if ending := now["ending"]:
        after = elapsed(now["seconds"])
        yield f"{ending['status']} after {after}: {_line(ending['message'])}"


def _head(now: ProgressJson, paint: Paint) -> Iterator[str]:
    status = now["ending"]["status"] if now["ending"] else "running"
    word = _STATES.get(status, status)
    attempt = f", attempt {now['attempt']}" if now["attempt"] > 1 else ""
    time = elapsed(now["seconds"], tenths=False)
    rest = fitting(f"{_line(now['notebook'])}  {time}{attempt}", paint.width - len(word) - 2)
    yield f"{paint.state(word) if now['ending'] else paint.strong(word)}  {rest}"
    done, total = len(now["cells"]), max(now["cells_total"], 1)
    columns = min(_BAR, paint.width // 2)
    bar = paint.bar(0, min(done / total, 1), columns).ljust(columns)
    yield fitting(f"[{bar}] {done} of {now['cells_total']} cells", paint.width)


def _cells(now: ProgressJson, paint: Paint) -> Iterator[str]:
    for cell in now["cells"][-_MOST_ENDED:]:
        status = f"{cell['status'].replace('-', ' '):<9}"
        rest = f"{_name(cell):<9} {elapsed(cell['seconds']):>7}  {_line(cell['title'])}"
        room = paint.width - len(status) - 2
        yield f"{paint.state(cell['status'], status)}  {fitting(rest, room)}"
    if running := now["cell"]:
        time = elapsed(running["seconds"], tenths=False)
        title = f"{_line(running['name']):<9} {time:>7}  {_line(running['title'])}"
        yield paint.strong(fitting(f"{'running':<9}  {title}", paint.width))
    elif not now["ending"]:
        over = len(now["cells"]) >= now["cells_total"]
        yield paint.faint("all cells have ended" if over else "no cell runs")


def _memory(now: ProgressJson, paint: Paint) -> Iterator[str]:
    """Yield a line for each GPU, and one for the memory of the kernel's processes."""
    known = [gpu for gpu in now["gpus"] if gpu["memory_used"] is not None]
    if known or now["rss"] is not None:
        yield ""
    for number, gpu in enumerate(known):
        used, total = gpu["memory_used"] or 0, gpu["memory_total"]
        of = f" of {sizes.spell(total)}" if total else ""
        bar = f"[{paint.bar(0, min(used / total, 1), _GPU_BAR).ljust(_GPU_BAR)}] " if total else ""
        busy = f", {gpu['utilisation']} % busy" if gpu["utilisation"] is not None else ""
        name = f"GPU {number} " if len(known) > 1 else "GPU "
        line = f"{name}{bar}{sizes.spell(used)}{of}{busy}  {_line(gpu['name'])}"
        yield fitting(line, paint.width)
    if now["rss"] is not None:
        limit = f" of {sizes.spell(now['memory_limit'])}" if now["memory_limit"] else ""
        yield fitting(f"memory {sizes.spell(now['rss'])}{limit}", paint.width)


def _name(cell: EndedCellJson) -> str:
    return f"cell {cell['number']}" if cell["number"] else "injected"


def _line(text: str) -> str:
    return line_of(plain(text))


def _printed(text: str) -> str:
    return plain(text).replace("\n", " ")  # with its blanks: it may be a table
