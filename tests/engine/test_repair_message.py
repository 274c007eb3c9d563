"""Messages that break Jupyter's protocol: the run goes on, and the notebook stays valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from runs import execute, statuses, text_of

from stepkit.engine.repair_message import repair

if TYPE_CHECKING:
    from pathlib import Path


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


GOOD = {"data": {"text/plain": "x"}, "metadata": {}}
PLAIN = ["data['text/plain']"]


@pytest.mark.parametrize(
    ("kind", "content", "faults"),
    [
        ("display_data", {"data": {"text/plain": "x", "text/html": 5}, "metadata": {}},
         ["data['text/html']"]),
        ("display_data", {"data": {"text/plain": None}, "metadata": {}}, PLAIN),
        ("display_data", {"data": {"text/plain": {"a": 1}}, "metadata": {}}, PLAIN),
        ("display_data", {"data": {"application/json": nested(900)}, "metadata": {}},
         ["data['application/json']"]),
        ("display_data", {**GOOD, "metadata": {"deep": nested(900)}}, ["metadata"]),
        ("display_data", {"data": ["x"], "metadata": {}}, ["data"]),
        ("display_data", {**GOOD, "metadata": 5}, ["metadata"]),
        ("display_data", {**GOOD, "transient": 5}, ["transient"]),
        ("display_data", {**GOOD, "transient": {"display_id": ["x"]}}, ["transient"]),
        ("display_data", {}, ["data", "metadata"]),
        ("display_data", 5, ["data", "metadata"]),
        ("execute_result", {"data": "x", "metadata": 7, "execution_count": "z"},
         ["data", "metadata", "execution_count"]),
        ("stream", {"name": "stdout", "text": 5}, ["text"]),
        ("stream", {}, ["name", "text"]),
        ("error", {"ename": "E"}, ["evalue", "traceback"]),
        ("error", {"ename": "E", "evalue": "", "traceback": "x"}, ["traceback"]),
    ],
)  # fmt: skip
def test_what_a_notebook_cannot_hold_is_replaced(
    kind: str, content: Any, faults: list[str]
) -> None:
    repaired, found = repair(kind, content)

    assert found == faults
    output = nbformat.v4.output_from_msg({"header": {"msg_type": kind}, "content": repaired})
    assert output.get("data", True)  # something is shown
    assert output.get("text", True)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("display_data", GOOD),
        ("display_data", {**GOOD, "transient": None}),
        ("display_data", {"data": {"text/html": ["a", "b"], "": "x"}, "metadata": {}}),
        ("display_data", {"data": {"application/x+json": [nested(200)]}, "metadata": {}}),
        ("update_display_data", {**GOOD, "transient": {"display_id": "d"}}),
        ("execute_result", {**GOOD, "execution_count": None}),
        ("stream", {"name": "other", "text": ""}),
        ("status", {"execution_state": "busy"}),
        ("comm_msg", {"comm_id": "c", "data": {"state": {}}}),
        ("execute_input", {"code": 5, "execution_count": 1}),
        ("unknown", {"a": [1]}),
    ],
)
def test_what_a_notebook_can_hold_is_kept(kind: str, content: dict[str, Any]) -> None:
    assert repair(kind, content) == (content, [])


@pytest.mark.parametrize(
    ("kind", "content", "faults"),
    [
        ("status", {}, ["execution_state"]),
        ("execute_input", {"execution_count": "x"}, ["execution_count"]),
        ("comm_open", {"data": {"state": 5}}, ["comm_id", "state"]),
        ("comm_msg", {"comm_id": "c", "data": "state"}, []),  # a library's own
    ],
)
def test_other_messages_are_repaired_too(kind: str, content: Any, faults: list[str]) -> None:
    assert repair(kind, content)[1] == faults


SEND = """
kernel = get_ipython().kernel
def send(kind, content, **header):
    parent = kernel.get_parent()
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent, **header)
"""


def test_the_run_goes_on_after_odd_messages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = (
        "send('stream', {'name': 'stdout', 'text': 5})\n"
        "send('display_data', {'data': {'text/html': 5, 'text/plain': 'kept'}, 'metadata': {}})\n"
        "send('status', {})\n"
        "send('display_data', {'data': ['x']})\n"
        "send('comm_open', {'data': {'state': 5}})\n"
        "send('stream', {}, header={'msg_id': 5, 'msg_type': 'stream', 'version': '5.3'})\n"
        "print('end')"
    )
    outcome = execute(tmp_path, SEND, odd, "print('after')")

    assert statuses(outcome) == ["ok"] * 3
    shown = outcome.notebook.cells[1]
    kinds = [output.get("name", output.output_type) for output in shown.outputs]
    assert kinds == ["stdout", "display_data", "display_data", "stdout"]
    assert text_of(shown) == "[stepkit: the kernel sent an output without a valid text]\nend\n"
    assert shown.outputs[1].data == {"text/plain": "kept"}
    assert "a valid data, metadata]" in shown.outputs[2].data["text/plain"]
    assert "a message display_data without a valid data['text/html']" in caplog.text
    assert text_of(outcome.notebook.cells[2]) == "after\n"
