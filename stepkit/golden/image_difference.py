"""Compare two images pixel by pixel, with Pillow."""

from __future__ import annotations

import base64
import io
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.golden.finding import Finding

if TYPE_CHECKING:
    from stepkit.golden.finding import Tally
    from stepkit.golden.limits import Limits

_WIDEST: Final = 480  # pixels of an image in a report
_LARGEST: Final = 100_000  # bytes of a data URI


def require() -> None:
    """Raise :class:`ConfigurationError` where Pillow is not installed."""
    if find_spec("PIL") is None:
        raise ConfigurationError(
            "images are compared with Pillow, which is not installed: install stepkit[compare], or "
            "have the rules ignore these cells (compare: cells: ignore: true)"
        )


def compare(golden: str, new: str, limits: Limits, tally: Tally) -> Finding | None:
    """Return how an image, in base64, differs from the golden one, None if it does not.

    Transparent pixels are white.
    """
    if golden.split() == new.split():
        return None
    from PIL import ImageChops

    was, now = _opened(golden), _opened(new)
    if isinstance(was, str) or isinstance(now, str):
        which = was if isinstance(was, str) else now
        return Finding(message=f"an image cannot be read: {which}")
    shown = [_data_uri(was), _data_uri(now)]
    if was.size != now.size:
        message = f"an image of {_size(now)} pixels, and not {_size(was)}"
        return Finding(message=message, images=_whole(shown))
    red, green, blue = ImageChops.difference(was, now).split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    differing = sum(highest.histogram()[limits.colours + 1 :])
    if differing <= limits.pixels * was.width * was.height:
        tally.within += 1
        return None
    share = differing / (was.width * was.height)
    shown.append(_data_uri(highest.point(lambda level: 0 if level > limits.colours else 255)))
    return Finding(
        message=f"{differing} of {was.width * was.height} pixels differ ({100 * share:.2g} %) by "
        f"more than {limits.colours} of 255, and the limit is {100 * limits.pixels:g} %",
        images=_whole(shown),
    )


def _opened(text: str) -> Any:
    """Return the image on white, or the text that says why it cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return str(error).partition("\n")[0]
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _data_uri(image: Any) -> str:
    """Return the image for a report, smaller if it is wide; ``""`` where it stays too large."""
    small = image.copy()
    small.thumbnail((_WIDEST, _WIDEST))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    found = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return found if len(found) <= _LARGEST else ""


def _whole(images: list[str]) -> tuple[str, ...]:
    return tuple(images) if all(images) else ()


def _size(image: Any) -> str:
    return f"{image.width}x{image.height}"
