"""Compare two images pixel by pixel, with Pillow."""

from __future__ import annotations

import base64
import io
import struct
import warnings
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.golden.finding import Finding

if TYPE_CHECKING:
    from stepkit.golden.finding import Tally
    from stepkit.golden.limits import Limits

_WIDEST: Final = 480  # pixels of an image in a report
# What Pillow raises for a broken file.
_UNREADABLE: Final = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)
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

    Each frame of an animation is compared. Transparent pixels are white, and a colour has 8 bits.
    """
    if golden.split() == new.split():
        return None
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            was, now = (Image.open(io.BytesIO(base64.b64decode(text))) for text in (golden, new))
            frames = [getattr(image, "n_frames", 1) for image in (was, now)]
            if frames[0] != frames[1]:
                return Finding(message=f"the number of frames is {frames[1]}, and not {frames[0]}")
            for number in range(frames[0]):
                before, after = (_frame(image, number) for image in (was, now))
                if found := _compare_frames(before, after, limits, tally):
                    place = f"frame {number + 1}: " if frames[0] > 1 else ""
                    return replace(found, message=f"{place}{found.message}")
    except UnidentifiedImageError:
        return Finding(message="an image cannot be read: it has no known format")
    except (*_UNREADABLE, Image.DecompressionBombError) as error:
        return Finding(message=f"an image cannot be read: {str(error).partition(chr(10))[0]}")
    return None


def _compare_frames(was: Any, now: Any, limits: Limits, tally: Tally) -> Finding | None:
    from PIL import ImageChops

    if was.size != now.size:
        message = f"an image of {_size(now)} pixels, and not {_size(was)}"
        return Finding(message=message, images=_shown(was, now))
    red, green, blue = ImageChops.difference(was, now).split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    differing = sum(highest.histogram()[limits.colours + 1 :])
    if differing <= limits.pixels * was.width * was.height:
        tally.within += highest.getbbox() is not None
        return None
    share = differing / (was.width * was.height)
    marked = highest.point(lambda level: 0 if level > limits.colours else 255)
    return Finding(
        message=f"{differing} of {was.width * was.height} pixels differ ({100 * share:.3g} %) by "
        f"more than {limits.colours} of 255, at most by {highest.getextrema()[1]}, and the limit "
        f"is {100 * limits.pixels:g} %",
        images=_shown(was, now, marked),
    )


def _frame(image: Any, number: int) -> Any:
    """Return one frame of an image on white."""
    from PIL import Image

    image.seek(number)
    if image.mode.startswith("I"):  # 16 bits, which Pillow cuts off at 255
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    image = image.convert("RGBA")
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


def _shown(*images: Any) -> tuple[str, ...]:
    found = tuple(map(_data_uri, images))
    return found if all(found) else ()


def _size(image: Any) -> str:
    return f"{image.width}x{image.height}"
