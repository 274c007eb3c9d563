"""A run as the HTML of an e-mail: the verdict, why, what to try, the notebooks, the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.report import short_message
from stepkit.report.page import failure, page_template

if TYPE_CHECKING:
    from stepkit.report.run_json import RunJson

_MOST_LINE: Final = 200  # characters of a line of source
_MOST_STEPS: Final = 30


def render(run: RunJson, *, link: str, note: str) -> str:
    """Return how ``run`` ended; ``note`` is the last sentence, about what is attached.

    It has no style sheet, no script and no table, which a mail client may drop, and every address
    is also its text: the text alternative that is made of it says the same.
    """
    found = failure.of_run(run)
    excerpt = failure.excerpt(found.cause["error"]) if found else None
    source = [  # it begins with a number: the text alternative loses blanks at the begin
        f"{line.number:<4}{'>' if line.failed else ' '} {shorten(line.text, _MOST_LINE)}".rstrip()
        for line in (excerpt.lines if excerpt else [])
    ]
    said = [  # the line that failed is in the source
        line for line in short_message.evidence(run) if not (source and line.startswith("> "))
    ]
    steps = run["steps"]
    return page_template.render(
        "email.html.j2",
        run=run,
        cause=short_message.cause(run),
        evidence="\n\n".join("\n".join(part) for part in (source, said) if part),
        remedies=found.remedies if found else (),
        facts=short_message.facts(run),
        steps=steps[:_MOST_STEPS],
        more_steps=len(steps[_MOST_STEPS:]),
        link=link,
        note=note,
    )
