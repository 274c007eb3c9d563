"""What GitHub's runner takes for a workflow command in the output of a step."""

import re
from dataclasses import dataclass, field

# A line of a step ends where .NET's readers end one.
_LINES = re.compile(r"\r\n|\r|\n")
_DATA = {"%0D": "\r", "%0A": "\n", "%25": "%"}
_PROPERTY = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}


@dataclass(frozen=True, kw_only=True)
class Command:
    name: str
    text: str = ""
    properties: dict[str, str] = field(default_factory=dict)


def commands(output: str) -> list[Command]:
    """Return the commands in ``output``, also those that no runner knows."""
    return [found for line in _LINES.split(output) if (found := _command(line))]


def _command(line: str) -> Command | None:
    legacy = re.search(r"##\[([^\]]*)\](.*)", line)
    if legacy:
        return Command(name=f"##[{legacy[1]}]", text=legacy[2])
    found = re.match(r"::(.*?)::(.*)", line.lstrip())
    if not found:
        return None
    name, _, given = found[1].partition(" ")
    pairs = (pair.split("=", 1) for pair in given.split(",") if "=" in pair)
    properties = {key: _decode(value, _PROPERTY) for key, value in pairs}
    return Command(name=name, text=_decode(found[2], _DATA), properties=properties)


def _decode(text: str, mapping: dict[str, str]) -> str:
    for escape, character in mapping.items():
        text = text.replace(escape, character)
    return text
