"""A step that greets, for tests of the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from stepkit.options import DETAIL, DURATION, Also, AtLeast, DefaultFromEnv, FromEnv, Pair


@dataclass(frozen=True, kw_only=True)
class Options:
    name: Annotated[str, "whom to greet"]
    words: Annotated[tuple[str, ...], "what to say", Pair("-w")] = ()
    loud: Annotated[bool, "whether to shout"] = False
    limit: Annotated[int | None, "how much to say", Also("-l"), AtLeast(1)] = None
    wait: Annotated[float, "how long", DURATION] = 1.5
    tone: Annotated[Literal["kind", "rude"], "how"] = "kind"
    place: Annotated[Path | None, "where", DefaultFromEnv("GREETING_PLACE")] = None
    token: Annotated[str | None, "key to the house", FromEnv("GREETING_TOKEN")] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    said_words: Annotated[str, "what was said"]
    file: Annotated[Path | None, "where it was written"] = None
    each: Annotated[tuple[str, ...], "word by word", DETAIL] = ()


def greet(options: Options) -> Outputs:
    """Say what the options say, as text."""
    said = repr([getattr(options, name) for name in Options.__dataclass_fields__])
    return Outputs(said_words=said, each=options.words)


Register: TypeAlias = Callable[[Callable[[Options], Outputs]], None]  # takes the step's run


def raising(error: BaseException) -> Callable[[Options], Outputs]:
    """Return a step that ends with ``error``."""

    def run(_: Options) -> Outputs:
        raise error

    return run
