"""Every output at its place, from real kernels: each test that runs one takes about a second."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from runs import OUTPUT, execute, statuses, text_of

from stepkit.engine import client
from stepkit.errors import Reason, ToolError
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.verdict import Ending


def kinds(cell: Any) -> list[str]:
    return [output.get("name", output.output_type) for output in cell.outputs]


def test_outputs_stand_in_the_order_in_which_they_were_shown(tmp_path: Path) -> None:
    mixed = (
        "import sys\n"
        "from IPython.display import display\n"
        "for n in range(3):\n"
        "    print('out', n, flush=True)\n"
        "    print('more', n, flush=True)\n"
        "    print('err', n, file=sys.stderr, flush=True)\n"
        "    display(n)\n"
    )
    nb = execute(tmp_path, mixed, "print('a'); 3").notebook

    assert kinds(nb.cells[0]) == ["stdout", "stderr", "display_data"] * 3
    assert nb.cells[0].outputs[0].text == "out 0\nmore 0\n"
    assert kinds(nb.cells[1]) == ["stdout", "execute_result"]


def test_an_update_reaches_the_display_in_an_earlier_cell(tmp_path: Path) -> None:
    nb = execute(
        tmp_path,
        "from IPython.display import display, update_display\n"
        "h = display('first', display_id=True)\nprint('between')\nh.display('twice')",
        "print('no display')",
        "h.update('changed')",
        "update_display('again', display_id=h.display_id); 1/0",
        checkpoint_interval=0.05,
    ).notebook

    # the error puts a marker on top
    first = next(cell for cell in nb.cells if cell.cell_type == "code")
    assert [out.data["text/plain"] for out in first.outputs if "data" in out] == ["'again'"] * 2


def test_a_display_shown_anew_in_a_later_cell_changes_the_earlier_one(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path, "h = display(1, display_id='q')\nh.update(49)", "h = display(7, display_id='q')"
    )

    shown = [cell.outputs[0].data["text/plain"] for cell in outcome.notebook.cells]
    assert shown == ["7", "7"]  # execute() compares the file with it


def test_clearing_an_output_also_clears_printed_text(tmp_path: Path) -> None:
    start = "from IPython.display import clear_output, display\nprint('old'); display('old')\n"
    nb = execute(
        tmp_path,
        start + "clear_output(); print('new')",
        start + "clear_output(wait=True); print('new')",
        start + "clear_output(wait=True)",  # nothing follows: nothing is cleared
        "print('one', flush=True); clear_output(True)\nprint('two', flush=True); print('three')",
        "print('one', end='', flush=True); clear_output(); print('two')",
    ).notebook

    texts = [text_of(cell) for cell in nb.cells]
    assert texts == ["new\n", "new\n", "old\n", "two\nthree\n", "two\n"]
    assert kinds(nb.cells[2]) == ["stdout", "display_data"]


def test_a_delayed_clearing_affects_only_its_own_cell(tmp_path: Path) -> None:
    nb = execute(
        tmp_path,
        "from IPython.display import clear_output\nprint('kept'); clear_output(wait=True)",
        "print('new')",
    ).notebook

    assert [text_of(cell) for cell in nb.cells] == ["kept\n", "new\n"]


BACKGROUND = """
import contextvars, threading, time  # ipykernel 7 takes the cell from the context
go, done = threading.Event(), threading.Event()
def work():
    go.wait()
    for n in range(50):
        print(f"\\rstep {n}", end="", flush=True)
        time.sleep(0.005)
    print("\\nlate", flush=True)
    done.set()
threading.Thread(target=contextvars.copy_context().run, args=(work,)).start()
print("started")
"""


def test_a_thread_of_an_earlier_cell_prints_into_that_cell(tmp_path: Path) -> None:
    foreground = (
        "go.set()\n"
        "for n in range(60): print(f'\\r{n} of 59', end='', flush=True); time.sleep(0.005)\n"
        "done.wait()\nprint()\ntime.sleep(0.1)"
    )
    outcome = execute(tmp_path, BACKGROUND, foreground, "print('end')", checkpoint_interval=0.05)

    cells = outcome.notebook.cells
    assert text_of(cells[0]) == "started\nstep 49\nlate\n"
    assert text_of(cells[1]) == "59 of 59\n"
    assert text_of(cells[2]) == "end\n"
    assert (kinds(cells[0]), kinds(cells[1])) == (["stdout", "stdout"], ["stdout"])
    assert outcome.execution.messages_lost == 0


def test_a_thread_may_clear_and_update_what_its_cell_shows(tmp_path: Path) -> None:
    first = (
        "import contextvars, threading, time\n"
        "from IPython.display import clear_output, display\n"
        "go = threading.Event(); done = threading.Event()\n"
        "print('old')\n"
        "def work():\n"
        "    go.wait(); clear_output(wait=True); time.sleep(0.2); display('new'); done.set()\n"
        "threading.Thread(target=contextvars.copy_context().run, args=(work,)).start()"
    )
    second = (
        "go.set()\nfor n in range(5): print('kept', n, flush=True); time.sleep(0.1)\ndone.wait()"
    )
    nb = execute(tmp_path, first, second).notebook

    assert kinds(nb.cells[0]) == ["display_data"]
    assert text_of(nb.cells[1]) == "".join(f"kept {n}\n" for n in range(5))


@pytest.mark.slow
def test_what_a_child_process_prints_stands_in_the_cell_that_started_it(tmp_path: Path) -> None:
    nb = execute(
        tmp_path,
        "import os\nprint('parent', flush=True)\n"
        "pid = os.fork()\nif not pid: print('child', flush=True); os._exit(0)\n"
        "os.waitpid(pid, 0); print('parent again')",
        "!echo shell",
    ).notebook

    assert sorted(text_of(nb.cells[0]).split("\n")) == ["", "child", "parent", "parent again"]
    assert text_of(nb.cells[1]).split() == ["shell"]


def test_many_outputs_lose_no_message(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "for n in range(500): display(n)", "1", "2")

    assert len(outcome.notebook.cells[0].outputs) == 500
    assert outcome.execution.messages_lost == 0


@pytest.mark.slow
def test_a_kernel_that_holds_its_interpreter_for_long_loses_no_message(tmp_path: Path) -> None:
    """Its late answer to the heartbeat does not count as lost."""
    outcome = execute(
        tmp_path, "import ctypes; ctypes.PyDLL(None).usleep(2_500_000)", "1", heartbeat=0.3
    )

    assert outcome.execution.messages_lost == 0


@pytest.mark.slow
def test_answers_after_the_end_of_the_notebook_are_not_counted_as_lost(tmp_path: Path) -> None:
    """The kernel is too long for one question: it answers two at once, after its last cell."""
    holds = "import ctypes; ctypes.PyDLL(None).usleep(11_000_000)"
    assert execute(tmp_path, holds, heartbeat=0.3).execution.messages_lost == 0


@pytest.mark.slow
def test_twenty_thousand_displays_arrive(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "for n in range(20_000): display(n)", "print('end')")

    assert len(outcome.notebook.cells[0].outputs) == 20_000
    assert text_of(outcome.notebook.cells[1]) == "end\n"
    assert outcome.execution.messages_lost == 0


@pytest.mark.slow
def test_one_line_of_thirty_megabytes_arrives(tmp_path: Path) -> None:
    outcome = execute(tmp_path, "print('x' * 30_000_000)", "print('\\r'.join('y' * 2_000_000))")

    assert len(text_of(outcome.notebook.cells[0])) == 30_000_001
    assert text_of(outcome.notebook.cells[1]) == "y\n"


@pytest.mark.slow
def test_outputs_that_do_not_arrive_after_the_reply_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is short here, and the kernel never says that all outputs are out."""
    monkeypatch.setattr(client, "OUTPUT_SECONDS", 1)
    stuck = (
        "print('before', flush=True)\nget_ipython().kernel._publish_status = lambda *_, **__: None"
    )
    outcome = execute(tmp_path, stuck, "2")

    assert outcome.execution.ending == Ending.OUTPUT_TIMEOUT
    assert statuses(outcome) == ["stopped", "not-run"]
    with pytest.raises(ToolError, match=r"outputs of cell 1 of 2 .* did not arrive") as caught:
        notebook_verdict.judge(outcome.execution)
    assert caught.value.reason == Reason.TIMEOUT


@pytest.mark.parametrize(
    "death",
    [
        "os.kill(os.getpid(), 9)",
        *(
            pytest.param(death, marks=pytest.mark.slow)
            for death in ("os._exit(3)", "ctypes.string_at(0)", "os.abort()")
        ),
    ],
)
def test_the_last_outputs_of_a_dying_kernel_are_kept(tmp_path: Path, death: str) -> None:
    words = "import ctypes, os, sys\nfor n in range(2000): print('word', n)\nsys.stdout.flush()\n"
    outcome = execute(tmp_path, "1", words + "import time; time.sleep(0.3)\n" + death, "3")

    assert statuses(outcome) == ["ok", "stopped", "not-run"]
    dying = next(cell for cell in outcome.notebook.cells if "word" in cell.source)
    assert text_of(dying).endswith("word 1999\n")
    assert dying.metadata.papermill.status == "failed"


@pytest.mark.slow
def test_unusual_characters_arrive_as_they_were_printed(tmp_path: Path) -> None:
    odd = "a\\u2028b\\x85c\\x00\\x1b[0m\\udc80😀"
    nb = execute(
        tmp_path, f"print('{odd}')", f"display({{'text/html': '{odd}'}}, raw=True)"
    ).notebook

    assert text_of(nb.cells[0]).startswith("a\u2028b\x85c\x00\x1b[0m")
    assert text_of(nb.cells[0]).endswith("😀\n")
    assert nb.cells[1].outputs[0].data["text/html"] == text_of(nb.cells[0])[:-1]


def test_the_log_gets_complete_lines_and_no_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nb = execute(
        tmp_path,
        "import sys, time\n"
        "for n in range(30): print(f'\\r{n} of 29', end='', flush=True); time.sleep(0.002)\n"
        "print()\n"
        "print('par', end='', flush=True); time.sleep(0.05); print('tial', flush=True)\n"
        "print('warned', file=sys.stderr)\n"
        "print('unended', end='')",
        "from IPython.display import Image, display\n"
        "display(Image(b'\\x89PNG' + b'x' * 3000, format='png'))\n"
        "display({'text/plain': 'one\\ntwo', 'text/html': '<b>thr' 'ee</b>'}, raw=True)",
        log_output=True,
    ).notebook

    said = [line for line in (r.getMessage() for r in caplog.records) if line.startswith("| ")]
    assert sorted(said[:4]) == sorted(["| 29 of 29", "| partial", "| warned", "| unended"])
    assert "| one" in said
    assert "| two" in said
    assert "eHh4" not in caplog.text
    assert "three" not in caplog.text
    assert text_of(nb.cells[0]).startswith("29 of 29\npartial\n")


def test_streams_are_copied_unchanged(tmp_path: Path) -> None:
    with (tmp_path / "o").open("w") as out, (tmp_path / "e").open("w") as err:
        execute(
            tmp_path,
            "import sys\nprint('1\\r2', flush=True); print('é', file=sys.stderr)",
            "print('end', end='')",
            stdout_file=out,
            stderr_file=err,
        )

    assert (tmp_path / "o").read_bytes() == b"1\r2\nend"
    assert (tmp_path / "e").read_text() == "é\n"


@pytest.mark.slow
def test_half_characters_can_be_written_to_the_files_for_streams(tmp_path: Path) -> None:
    with (tmp_path / "o").open("w") as out:
        outcome = execute(tmp_path, "print('a\\udc80b')", "print('end')", stdout_file=out)

    assert statuses(outcome) == ["ok", "ok"]
    assert (tmp_path / "o").read_text().endswith("end\n")


def test_a_full_disk_under_a_stream_file_is_reported_and_the_notebook_is_kept(
    tmp_path: Path, small_disk: Path
) -> None:
    out = (small_disk / "o").open("w")
    with pytest.raises(ToolError, match="No space left on device") as caught:
        execute(tmp_path, "print('kept')", "print('x' * 2_000_000)", "3", stdout_file=out)
    with suppress(OSError):
        out.close()

    assert caught.value.reason == Reason.DISK_FULL
    assert "kept" in (tmp_path / OUTPUT).read_text()


def test_widgets_keep_their_state(tmp_path: Path) -> None:
    pytest.importorskip("ipywidgets")
    nb = execute(
        tmp_path,
        "import ipywidgets as w\nfrom IPython.display import display\n"
        "out = w.Output(); display(out)\nwith out: print('inside')\nprint('outside')",
    ).notebook

    assert text_of(nb.cells[0]) == "outside\n"
    assert "inside" in str(nb.metadata.widgets)
