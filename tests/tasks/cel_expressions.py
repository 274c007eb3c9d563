"""CEL expressions of triggers, evaluated on an event as Tekton does it."""

from typing import Any

from cel_expr_python import cel

_ENVIRONMENT = cel.NewEnv(variables={"body": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


def _as_decoded(value: Any) -> Any:
    """Return JSON as Tekton decodes it: every number is a double."""
    if isinstance(value, dict):
        return {key: _as_decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_decoded(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def outcome(expression: str, event: dict[str, Any]) -> Any:
    """Return what the expression is for the event, or CEL's words for its error."""
    return _ENVIRONMENT.compile(expression).eval(data={"body": _as_decoded(event)}).value()
