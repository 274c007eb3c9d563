"""How a notebook compares with its golden one, as run.json holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import GoldenJson
    from stepkit.report.run_paths import RunPaths

_MOST: Final = 50  # differences
_IMAGE: Final = "data:image/png;base64,"
_LARGEST_IMAGE: Final = 100_000  # characters


def record_golden(found: Any, paths: RunPaths) -> GoldenJson | None:
    """Return what the report of a step says of the comparison, None where there was none."""
    if not isinstance(found, dict):
        return None
    return {
        "path": paths.shown(found.get("golden")) or "",
        "compared": unchecked_values.whole(found.get("compared")) or 0,
        "differing": unchecked_values.whole(found.get("differing")) or 0,
        "within": unchecked_values.whole(found.get("within")) or 0,
        "largest": unchecked_values.number(found.get("largest")) or 0,
        "ignored": [
            {
                "cell": unchecked_values.whole(each.get("cell")) or 0,
                "why": unchecked_values.line(each.get("why")),
            }
            for each in unchecked_values.objects(found.get("ignored"))
        ],
        "differences": [
            {
                "cell": unchecked_values.whole(each.get("cell")) or 0,
                "index": unchecked_values.whole(each.get("index")) or 0,
                "title": unchecked_values.text(each.get("title")),
                "output": unchecked_values.text(each.get("output")),
                "message": unchecked_values.text(each.get("message")),
                "golden": unchecked_values.text(each.get("golden")),
                "new": unchecked_values.text(each.get("new")),
                "images": [image for image in each.get("images") or () if _is_image(image)],
            }
            for each in unchecked_values.objects(found.get("differences"))[:_MOST]
        ],
    }


def _is_image(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_IMAGE) and len(value) <= _LARGEST_IMAGE
