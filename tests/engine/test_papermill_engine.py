"""The engine under papermill's own command and function."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import commands
import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import papermill_io
from samples import write_notebook
from waiting import SOON, until

from stepkit.errors import ConfigurationError

PAPERMILL = Path(sys.executable).with_name("papermill")
KILL = "import os; os.kill(os.getpid(), 9)"


def command(engine: str, notebook: Path, output: str, *flags: str) -> list[str]:
    return [str(PAPERMILL), str(notebook), output, "--engine", engine, "--no-progress-bar", *flags]


def papermill_with(engine: str, notebook: Path, *flags: str) -> tuple[int, Any]:
    """Run papermill and return its exit code and the notebook it wrote."""
    output = notebook.parent / f"{engine}.ipynb"
    done = commands.run(*command(engine, notebook, str(output), *flags), cwd=notebook.parent)
    assert output.exists(), done.stderr
    nb = nbformat.read(output, as_version=4)
    nbformat.validate(nb)
    return done.returncode, nb


def execute(notebook: Path | str, output: str | None = "out.ipynb", **more: Any) -> Any:
    """Call papermill's function with our engine, and return the executed notebook."""
    return papermill.execute_notebook(
        str(notebook), output, engine_name="stepkit", progress_bar=False, **more
    )


def comparable(nb: Any) -> str:
    """Return a notebook without what differs from run to run."""
    nb = json.loads(nbformat.writes(nb))
    for cell in nb["cells"]:
        if "papermill-error-cell-tag" in cell["metadata"].get("tags", []):
            cell["id"] = "mark"
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["id"] = "injected"
        for part in (cell["metadata"], cell["metadata"].get("papermill", {})):
            forget(part, "start_time", "end_time", "duration")
            forget(part.get("execution", {}), *part.get("execution", {}))
    nb["metadata"].pop("stepkit", None)  # why the notebook failed, which the page of it says
    metadata = nb["metadata"]["papermill"]
    forget(metadata, "start_time", "end_time", "duration", "output_path")
    return json.dumps(nb, indent=1, sort_keys=True)


def forget(metadata: dict[str, Any], *names: str) -> None:
    for name in names:
        if metadata.get(name) is not None:
            metadata[name] = "some"


@pytest.mark.slow
@pytest.mark.parametrize(
    "sources",
    [
        ["n = 1", "# a comment", "", "print(n)", "n", "import sys; print('e', file=sys.stderr)"],
        ["n = 1", "print('kept')", "{}['pca']", "3"],
        [],
    ],
)
def test_the_output_is_what_papermill_writes(tmp_path: Path, sources: list[str]) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", *sources, tags={0: ["parameters"]})
    flags = ["-p", "n", "2"] if sources else []

    stock, theirs = papermill_with("nbclient", notebook, *flags)
    code, ours = papermill_with("stepkit", notebook, *flags)

    assert code == stock == ("pca" in str(sources))
    assert comparable(ours) == comparable(theirs)


@pytest.mark.slow
def test_sys_exit_and_expected_errors_end_as_under_papermill(tmp_path: Path) -> None:
    for source, tags in (
        ("import sys; sys.exit(0)", []),
        ("import sys; sys.exit(3)", []),
        ("1/0", ["raises-exception"]),
    ):
        notebook = write_notebook(tmp_path / "a.ipynb", source, "2", tags={0: tags})
        stock, theirs = papermill_with("nbclient", notebook)
        code, ours = papermill_with("stepkit", notebook)
        assert code == stock
        assert len(ours.cells) == len(theirs.cells)


def test_a_dead_kernel_fails_and_the_statuses_say_so(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('kept')", KILL, "3")

    code, nb = papermill_with("stepkit", notebook)

    assert code == 138
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert [c.metadata.papermill.status for c in cells] == ["completed", "failed", "pending"]
    assert nb.metadata.papermill.exception is True
    assert cells[0].outputs[0].text == "kept\n"


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 1)])
def test_a_signal_saves_the_outputs_so_far(
    tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    begins = "import os, time; print('begun', flush=True); open('begun', 'w'); time.sleep(60)"
    notebook = write_notebook(tmp_path / "a.ipynb", "print('kept')", begins)
    output = tmp_path / "out.ipynb"
    child = subprocess.Popen(
        command("stepkit", notebook, str(output)), cwd=tmp_path, stderr=subprocess.PIPE
    )
    until((tmp_path / "begun").exists)
    time.sleep(0.1)

    child.send_signal(signum)
    _, said = child.communicate(timeout=SOON)

    assert child.returncode == code, said.decode()
    nb = nbformat.read(output, as_version=4)
    cells = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert [c.metadata.papermill.status for c in cells] == ["completed", "failed"]
    assert cells[1].outputs[0].text == "begun\n"


@pytest.mark.usefixtures("_here")
@pytest.mark.slow
def test_runs_without_an_output_file(tmp_path: Path) -> None:
    nb = execute(write_notebook(tmp_path / "a.ipynb", "print('ran')"), None)

    assert nb.cells[0].outputs[0].text == "ran\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_relative_paths_are_relative_to_the_start_not_to_the_working_directory(
    tmp_path: Path,
) -> None:
    write_notebook(tmp_path / "a.ipynb", "import os; print(os.getcwd())", "1/0")
    (tmp_path / "work").mkdir()

    with pytest.raises(PapermillExecutionError):
        execute("a.ipynb", cwd="work")

    assert list((tmp_path / "work").iterdir()) == []
    assert f"{tmp_path}/work" in (tmp_path / "out.ipynb").read_text()


class Remote:
    """Storage that papermill knows by a scheme."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self, path: str) -> str:
        return self.files[path]

    def write(self, text: str, path: str) -> None:
        self.files[path] = text

    def pretty_path(self, path: str) -> str:
        return path

    def listdir(self, path: str) -> list[str]:
        return [name for name in self.files if name.startswith(path)]


@pytest.fixture
def remote() -> Iterator[Remote]:
    storage = Remote()
    papermill_io.register("memory://", storage)
    yield storage
    papermill_io._handlers.remove(("memory://", storage))


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "shown"), [(KILL, 1), ("1/0", 0)])
def test_what_papermill_does_not_show_itself_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str, shown: int
) -> None:
    caplog.set_level(logging.INFO, logger="stepkit")
    notebook = write_notebook(tmp_path / "a.ipynb", ending)

    with pytest.raises((DeadKernelError, PapermillExecutionError)):
        execute(notebook, str(tmp_path / "out.ipynb"))

    heads = [message for message in caplog.messages if message.startswith("--- cell 1 of 1")]
    assert len(heads) == shown


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "ending", ["2", *(pytest.param(e, marks=pytest.mark.slow) for e in ("1/0", KILL))]
)
def test_an_output_elsewhere_is_written_however_it_ends(
    tmp_path: Path, remote: Remote, ending: str
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('kept')", ending, "3")
    with suppress(DeadKernelError, PapermillExecutionError):
        execute(notebook, "memory://out.ipynb")

    assert '"kept\\n"' in remote.files["memory://out.ipynb"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.slow
def test_a_notebook_may_be_piped_through(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('ran')")

    done = subprocess.run(
        command("stepkit", Path("-"), "-"),
        input=notebook.read_bytes(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    assert "ran\\n" in json.dumps(json.loads(done.stdout)["cells"][0]["outputs"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_the_flags_of_papermill_and_of_the_engine_are_honoured(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "import time; time.sleep(60)")
    began = time.monotonic()

    with pytest.raises(Exception, match=r"after 1 s \(--execution-timeout\)"):
        execute(
            notebook,
            start_timeout=30,
            execution_timeout=1,
            autosave_cell_every=1,
            run_timeout=50,
            hang_timeout=40,
            heartbeat=0,
            cell_output_limit=1000,
        )

    assert time.monotonic() - began < 40


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    "option", [{"timeout": 3}, {"kernel_manager_class": "x"}, {"iopub_timeout": 3}]
)
def test_an_option_of_another_engine_is_refused_with_its_name(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1")

    with pytest.raises(ConfigurationError, match=f"no option {next(iter(option))!r}.*run_timeout"):
        execute(notebook, **option)

    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.usefixtures("_here")
def test_saves_may_be_left_to_papermill(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('ran')")

    execute(notebook, request_save_on_cell_execute=False, autosave_cell_every=0)

    assert "ran" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_two_notebooks_may_run_in_two_threads(tmp_path: Path) -> None:
    """Each ends its own processes, and none of the other's."""
    short = write_notebook(tmp_path / "short.ipynb", "import time; time.sleep(1)")
    long = write_notebook(tmp_path / "long.ipynb", "import time; time.sleep(4); print('ran')")
    ends: dict[str, Any] = {}

    def run(path: Path) -> None:
        ends[path.stem] = execute(path, f"{path.stem}.out.ipynb")

    threads = [threading.Thread(target=run, args=(path,)) for path in (long, short)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ends["long"].cells[0].outputs[0].text == "ran\n"
    assert "short" in ends


@pytest.mark.slow
def test_no_process_is_left(tmp_path: Path) -> None:
    says_who = "import os; open('pid', 'w').write(f'{os.getpid()}')"

    papermill_with("stepkit", write_notebook(tmp_path / "a.ipynb", says_who))

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
