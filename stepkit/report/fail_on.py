"""Which differences from the baseline fail a run: ``slower=1.5x,memory=1.2x,no-baseline``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.formats.did_you_mean import nearest
from stepkit.report import comparison_text
from stepkit.report.compare_numbers import RATIO

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from stepkit.report.run_json_comparison import ComparisonJson

_RATIOS: Final = ("slower", "memory")
_NO_BASELINE: Final = "no-baseline"


@dataclass(frozen=True, kw_only=True)
class FailOn:
    """What fails a run: ratios to the baseline, None for any, and a baseline that is missing."""

    slower: float | None = None
    memory: float | None = None
    no_baseline: bool = False

    @property
    def ratios(self) -> dict[str, float]:
        """The ratios that a comparison must use to find what fails a run."""
        return {
            "slower": min(self.slower or RATIO, RATIO),
            "memory": min(self.memory or RATIO, RATIO),
        }

    def apply(self, comparison: ComparisonJson) -> ComparisonJson:
        """Return the comparison with what is worse than is allowed as ``regressions``."""
        found = comparison_text.regressions(comparison, slower=self.slower, memory=self.memory)
        return {**comparison, "regressions": found}


def error(comparison: ComparisonJson, outputs: DataclassInstance | None = None) -> UserCodeError:
    """Return the error of a run with ``regressions``."""
    first, *more = comparison["regressions"]
    others = f"; and {len(more)} more" if more else ""
    return UserCodeError(f"{first}{others}", reason=Reason.REGRESSION, outputs=outputs)


def parse(text: str) -> FailOn:
    """Read ``slower=1.5x,memory=1.2x,no-baseline``, each of them optional.

    Raises :class:`ConfigurationError`.
    """
    ratios: dict[str, float] = {}
    no_baseline = False
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if part == _NO_BASELINE:
            no_baseline = True
        elif name in _RATIOS and equals:
            ratios[name] = _ratio(name, value)
        else:
            known = f"{'=1.5x, '.join(_RATIOS)}=1.5x and {_NO_BASELINE}"
            near = nearest(name, [*_RATIOS, _NO_BASELINE])
            hint = f": did you mean {near}?" if near and near != name else ""
            raise ConfigurationError(f"--fail-on {part!r} is not one of {known}{hint}")
    return FailOn(**ratios, no_baseline=no_baseline)


def _ratio(name: str, text: str) -> float:
    try:
        ratio = float(text.removesuffix("x"))
    except ValueError:
        ratio = math.nan
    if not 1 < ratio < math.inf:  # NaN is neither
        raise ConfigurationError(
            f"--fail-on {name}={text}: write a ratio to the baseline above 1, such as {name}=1.5x"
        )
    return ratio
