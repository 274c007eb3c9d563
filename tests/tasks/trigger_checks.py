"""Check an EventListener, its bindings and its template: there is no schema of them."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.cel_expressions import outcome
from tasks.manifests import Manifest, named, repeated, texts

VERSION = "triggers.tekton.dev/v1beta1"
EVENTS = {"push", "pull_request"}
_EVENT = re.compile(r"\$\((?:body|header|extensions)((?:\.[\w-]+)+)\)")
_EXTENSION = re.compile(r"\$\(extensions\.([\w-]+)\)")
_PARAM = re.compile(r"\$\(tt\.params\.([\w-]+)\)")


class Triggers:
    """All objects of tasks/triggers/, by name."""

    def __init__(self, found: list[Manifest]) -> None:
        self.listeners = [one for one in found if one.kind == "EventListener"]
        self.bindings = {one.name: one.spec for one in found if one.kind == "TriggerBinding"}
        self.templates = {one.name: one.spec for one in found if one.kind == "TriggerTemplate"}
        self.versions = {one.value["apiVersion"] for one in found}

    def check(self) -> Iterator[str]:
        """Find what keeps an event from becoming a run."""
        if self.versions != {VERSION}:
            yield f"apiVersion: must be {VERSION}"
        for listener in self.listeners:
            if not listener.spec.get("serviceAccountName"):
                yield "serviceAccountName: is missing"
            for name in repeated(listener.spec["triggers"]):
                yield f"{name}: two triggers have this name"
        triggers = [trigger for one in self.listeners for trigger in one.spec["triggers"]]
        used = {one["ref"] for t in triggers for one in [*t["bindings"], t["template"]]}
        for name in sorted({*self.bindings, *self.templates} - used):
            yield f"{name}: no trigger uses it"
        for trigger in triggers:
            yield from _under(trigger["name"], self._trigger(trigger))
        for name, template in self.templates.items():
            yield from _under(name, _template(template))
        for name, binding in self.bindings.items():
            yield from _under(name, _binding(binding))

    def _trigger(self, trigger: dict[str, Any]) -> Iterator[str]:
        yield from _signature(trigger["interceptors"][0])
        for interceptor in trigger["interceptors"]:
            if interceptor["ref"].get("kind") != "ClusterInterceptor":
                yield "interceptors: each is a ClusterInterceptor"
        if "filter" not in named(trigger["interceptors"][-1]["params"]):
            yield "interceptors: the last one filters"
        template = self.templates.get(trigger["template"]["ref"])
        unknown = [b["ref"] for b in trigger["bindings"] if b["ref"] not in self.bindings]
        for name in unknown:
            yield f"bindings: there is no TriggerBinding {name}"
        if template is None:
            yield f"template: there is no TriggerTemplate {trigger['template']['ref']}"
        if template is None or unknown:
            return
        given = [p for b in trigger["bindings"] for p in self.bindings[b["ref"]]["params"]]
        for name in sorted(set(_EXTENSION.findall(str(given))) ^ set(_overlays(trigger))):
            yield f"bindings: the overlay {name} is made or used, and not both"
        yield from _given(given, named(template["params"]))

    def run(self, trigger: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """Return the object that ``event`` becomes, as the template says."""
        bindings = [p for b in trigger["bindings"] for p in self.bindings[b["ref"]]["params"]]
        made_of = {name: outcome(text, event) for name, text in _overlays(trigger).items()}
        spec = self.templates[trigger["template"]["ref"]]
        values = {param["name"]: param.get("default", "") for param in spec["params"]}
        for param in bindings:
            found = _EXTENSION.fullmatch(param["value"])
            value = made_of[found[1]] if found else _looked_up(param["value"], event)
            values[param["name"]] = value
        (template,) = spec["resourcetemplates"]
        made: dict[str, Any] = _filled(template, values)
        return made


def _given(given: list[dict[str, Any]], wanted: dict[str, Any]) -> Iterator[str]:
    for name in repeated(given):
        yield f"bindings: {name} is given twice"
    for name in sorted(set(wanted) ^ set(named(given))):
        if "default" not in wanted.get(name, {}):
            yield f"bindings: {name} is given or wanted, and not both"


def _overlays(trigger: dict[str, Any]) -> dict[str, str]:
    """Return the expression of each overlay, by its key."""
    overlays = named(trigger["interceptors"][-1]["params"]).get("overlays", {}).get("value", [])
    return {one["key"]: one["expression"] for one in overlays}


def _under(name: str, problems: Iterator[str]) -> Iterator[str]:
    return (f"{name}: {problem}" for problem in problems)


def _binding(binding: dict[str, Any]) -> Iterator[str]:
    for field, text in texts(binding):
        if "$(" in text and not _EVENT.fullmatch(text):
            yield f"{field}: {text} is not a field of an event"


def _signature(interceptor: dict[str, Any]) -> Iterator[str]:
    params = named(interceptor["params"])
    secret = params.get("secretRef", {}).get("value", {})
    if interceptor["ref"].get("name") != "github" or not {"secretName", "secretKey"} <= set(secret):
        yield "interceptors: the first one checks the signature of GitHub"
    events = params.get("eventTypes", {}).get("value", [])
    if len(events) != 1 or not EVENTS.issuperset(events):
        yield "interceptors: one event type is needed: its fields are those that the filter knows"


def _template(template: dict[str, Any]) -> Iterator[str]:
    declared = set(named(template["params"]))
    used = set(_PARAM.findall(str(template["resourcetemplates"])))
    for name in sorted(declared ^ used):
        yield f"params: {name} is declared or used, and not both"
    for one in template["resourcetemplates"]:
        if not one["metadata"].get("generateName") or "name" in one["metadata"]:
            yield "metadata: generateName is needed: a second run of the same name is refused"
    for field, text in texts(template["resourcetemplates"]):
        if "$(body" in text or "$(params" in text:
            yield f"{field}: a template has only $(tt.params.NAME)"


def _looked_up(text: str, event: Any) -> str:
    match = _EVENT.fullmatch(text)
    for part in match[1].split(".")[1:] if match else ():
        event = event[part]
    return str(event) if match else text


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, str):
        return _PARAM.sub(lambda match: values[match[1]], value)
    return value
