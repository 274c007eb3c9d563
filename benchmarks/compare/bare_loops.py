"""Execute a notebook with little around it: ``bare_loops.py floor|nbclient SOURCE TARGET``.

The floor is what a notebook costs through jupyter_client alone: a kernel, one cell after the other,
each one's outputs appended, the notebook written once at the end. No checkpoints, no metadata, no
time limits: less cannot be done over this client. nbclient is used as its documentation shows it.
"""

import sys
from typing import Any

import nbformat

LOST_SECONDS = 120.0  # without a message: it was dropped


def main(loop: str, source: str, target: str) -> None:
    """Execute the notebook ``source`` and write it to ``target``."""
    notebook = nbformat.read(source, as_version=4)
    if loop == "nbclient":
        from nbclient import NotebookClient

        NotebookClient(notebook, kernel_name="python3").execute()
    else:
        from jupyter_client.manager import start_new_kernel

        kernel, client = start_new_kernel(kernel_name="python3")
        try:
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    _execute(client, cell)
        finally:
            client.stop_channels()
            kernel.shutdown_kernel(now=False)
    nbformat.write(notebook, target)


def _execute(client: Any, cell: nbformat.NotebookNode) -> None:
    sent = client.execute(cell.source, allow_stdin=False)
    cell.outputs = []
    while True:
        message = client.get_iopub_msg(timeout=LOST_SECONDS)
        if message["parent_header"].get("msg_id") != sent:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            break
        if kind in {"stream", "display_data", "execute_result", "error"}:
            cell.outputs.append(nbformat.v4.output_from_msg(message))
    reply: dict[str, Any] = {}
    while reply.get("parent_header", {}).get("msg_id") != sent:
        reply = client.get_shell_msg(timeout=LOST_SECONDS)
    cell.execution_count = reply["content"]["execution_count"]


if __name__ == "__main__":
    main(*sys.argv[1:])
