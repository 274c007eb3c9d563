"""Real kernels: each test that runs one takes about a second."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from junit_files import cases, suites
from kernels import Install
from samples import write_notebook
from step_runs import failed, printed, refused, run
from waiting import until

from stepkit.engine.read_kernel_facts import KernelFacts
from stepkit.errors import ConfigurationError, Reason, ToolError, UserCodeError
from stepkit.step import Checks
from stepkit.steps import execute_notebook
from stepkit.steps.execute_notebook import Options, Outputs


def executed(directory: Path) -> Any:
    nb = nbformat.read(directory / "out/executed.ipynb", as_version=4)
    nbformat.validate(nb)
    return nb


def statuses(directory: Path) -> list[str]:
    code = [cell for cell in executed(directory).cells if cell.cell_type == "code"]
    return [cell.metadata.papermill.status for cell in code]


def text_of(directory: Path) -> str:
    return printed(directory / "out/executed.ipynb")


def test_executes_every_cell_and_passes(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1", "", "print('n is', n)")
    before = notebook.read_bytes()

    outputs = run(notebook)

    assert outputs.message == "2 of 2 cells ran"
    assert (outputs.cells_run, outputs.cells_total, outputs.kernel) == (2, 2, "python3")
    assert outputs.kernel_facts == KernelFacts(python=platform.python_version())
    assert text_of(tmp_path) == "n is 1\n"
    assert notebook.read_bytes() == before
    log = (tmp_path / "out/papermill.log").read_text()
    assert "cell 2/2: print('n is', n)" in log
    assert "verdict: 2 of 2 cells ran" in log


def test_parameters_of_every_form_reach_the_notebook_in_papermills_order(tmp_path: Path) -> None:
    names = ["guessed", "raw", "listed", "filed", "coded", "PAPERMILL_INPUT_PATH"]
    first = "\n".join(f"{name} = None" for name in names)
    shown = ", ".join(names[:-1])
    notebook = write_notebook(
        tmp_path / "a.ipynb", first, f"print([{shown}])", tags={0: ["parameters"]}
    )
    (tmp_path / "p.yaml").write_text("filed: {a: 1}\nraw: lost")

    outputs = run(
        notebook,
        parameters=("guessed=007",),
        parameters_raw=("raw=007",),
        parameters_yaml=("{listed: [1, 2], guessed: lost}",),
        parameters_file=(tmp_path / "p.yaml",),
        parameters_base64=("Y29kZWQ6IDI=",),
        inject_input_path=True,
    )

    assert text_of(tmp_path) == "[7, '007', [1, 2], {'a': 1}, 2]\n"
    assert executed(tmp_path).metadata.papermill.parameters["PAPERMILL_INPUT_PATH"] == str(notebook)
    assert outputs.parameters == {
        "guessed": 7, "raw": "007", "listed": [1, 2], "filed": {"a": 1}, "coded": 2,
        "PAPERMILL_INPUT_PATH": str(notebook),
    }  # fmt: skip


def test_a_cell_error_fails_and_leaves_everything_up_to_it(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('kept')", "# why\n{}['pca']", "3")

    error = failed(notebook)

    assert type(error) is UserCodeError
    assert error.reason == Reason.CELL_ERROR
    assert str(error).startswith("cell 2 of 3 (`{}['pca']`) raised KeyError: 'pca'")
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.cells_run == 1
    assert text_of(tmp_path) == "kept\n"
    assert statuses(tmp_path) == ["completed", "failed", "pending"]
    assert executed(tmp_path).metadata.papermill.exception is True
    assert "KeyError: 'pca'" in (tmp_path / "out/papermill.log").read_text()


def test_sys_exit_0_half_way_is_a_failure(tmp_path: Path) -> None:
    error = failed(write_notebook(tmp_path / "a.ipynb", "import sys; sys.exit(0)", "2"))

    assert error.reason == Reason.EARLY_EXIT
    assert error.exit_code == 3
    assert statuses(tmp_path) == ["failed", "pending"]


@pytest.mark.parametrize(
    "source",
    [
        "%run bad.py",
        pytest.param("%%capture\n1/0", marks=pytest.mark.slow),
        pytest.param("get_ipython().run_cell('1/0');", marks=pytest.mark.slow),
    ],
)
def test_an_error_that_the_reply_does_not_mention_fails_the_notebook(
    tmp_path: Path, source: str
) -> None:
    (tmp_path / "bad.py").write_text("1/0\n")
    error = failed(write_notebook(tmp_path / "a.ipynb", source, "print('went on')"))

    assert error.reason == Reason.CELL_ERROR
    assert "cell 1 of 2" in str(error)
    assert "ZeroDivisionError" in str(error)
    assert statuses(tmp_path)[0] == "failed"
    assert executed(tmp_path).metadata.papermill.exception is True


def test_a_kernel_killed_from_outside_is_distinguished_from_one_that_ended_itself(
    tmp_path: Path,
) -> None:
    kill = "import os, subprocess; subprocess.run(['kill', '-9', str(os.getpid())])"
    junit = tmp_path / "cells.xml"
    error = failed(write_notebook(tmp_path / "a.ipynb", "print('kept')", kill, "3"), junit=junit)

    assert type(error) is ToolError
    (suite,) = suites(junit)
    assert [kind for _, kind, _ in cases(suite)] == ["", "error", "skipped"]
    assert cases(suite)[1][2] == str(error)
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.junit == junit
    assert error.outputs.test_output == Checks(successes=1, failures=1)
    assert error.reason in {Reason.KERNEL_DIED, Reason.OUT_OF_MEMORY}
    assert f"killed by SIGKILL in cell 2 of 3 (`{kill}`)" in str(error)
    assert "sender unknown" in str(error)
    assert statuses(tmp_path) == ["completed", "failed", "pending"]
    assert text_of(tmp_path) == "kept\n"
    assert "The kernel died at" in executed(tmp_path).cells[0].source
    assert executed(tmp_path).metadata["stepkit"] == {"failure": str(error)}


def test_a_kernel_that_exits_by_itself_is_the_notebooks_fault(tmp_path: Path) -> None:
    error = failed(write_notebook(tmp_path / "a.ipynb", "import os; os._exit(7)", "2"))

    assert type(error) is UserCodeError
    assert error.reason == Reason.KERNEL_DIED
    assert "exited by itself with code 7" in str(error)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"execution_timeout": 1.5}, "was stopped after 1.5 s (--execution-timeout)"),
        pytest.param(
            {"run_timeout": 2.5, "execution_timeout": 60.0},
            "stopped after 2.5 s (--run-timeout)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_time_limit_keeps_the_output_so_far(
    tmp_path: Path, limits: dict[str, float], said: str
) -> None:
    hang = "import time; print('begun', flush=True); time.sleep(60)"
    error = failed(write_notebook(tmp_path / "a.ipynb", hang, "2"), **limits)

    assert error.reason == Reason.TIMEOUT
    assert error.exit_code == 3
    assert said in str(error)
    assert text_of(tmp_path) == "begun\n"
    assert statuses(tmp_path) == ["failed", "pending"]


def test_declared_errors_and_skipped_cells_do_not_fail_the_notebook(tmp_path: Path) -> None:
    tags = {0: ["raises-exception"], 1: ["skip-execution"]}
    outputs = run(write_notebook(tmp_path / "a.ipynb", "1/0", "1/0", "print('end')", tags=tags))

    assert outputs.message.startswith("2 of 2 cells ran, 1 of them with an error")
    assert len(executed(tmp_path).cells) == 3
    assert text_of(tmp_path) == "end\n"


def test_the_page_points_to_the_error_that_failed_not_to_the_expected_one(tmp_path: Path) -> None:
    tags = {0: ["raises-exception"]}
    notebook = write_notebook(tmp_path / "a.ipynb", "1/0", "{}['pca']", "3", tags=tags)

    assert failed(notebook).reason == Reason.CELL_ERROR

    cells = executed(tmp_path).cells
    marks = [n for n, cell in enumerate(cells) if "papermill-error-cell-tag" in cell.metadata.tags]
    assert marks == [0, 2]
    assert "In [2]" in cells[0].source
    assert [cells[n].id for n in (1, 3, 4)] == ["cell-0", "cell-1", "cell-2"]


def test_log_output_writes_printed_text_and_no_images(tmp_path: Path) -> None:
    image = "from IPython.display import Image, display; display(Image(b'x' * 3000, format='png'))"
    bar = "for n in range(3): print(f'\\r{n} of 2', end='')\nprint()"
    notebook = write_notebook(tmp_path / "a.ipynb", "print('from the cell')", image, bar)

    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/stdout.txt").symlink_to(notebook)

    run(notebook, log_output=True, stdout_file=tmp_path / "logs/stdout.txt")

    log = (tmp_path / "out/papermill.log").read_text()
    assert "INFO | from the cell\n" in log
    assert "INFO | 2 of 2\n" in log
    assert "0 of 2" not in log
    assert "eHh4eHh4" not in log  # base64 of xxxxxx
    assert (tmp_path / "logs/stdout.txt").read_text().startswith("from the cell\n")
    assert notebook.read_text().startswith("{")


@pytest.mark.slow
def test_report_mode_marks_the_code_as_hidden(tmp_path: Path) -> None:
    run(write_notebook(tmp_path / "a.ipynb", "1"), report_mode=True)

    assert executed(tmp_path).cells[0].metadata.jupyter.source_hidden is True


def test_a_full_disk_leaves_the_last_whole_notebook(tmp_path: Path, small_disk: Path) -> None:
    big = [f"print('{letter}' * 300_000)" for letter in "vwxyz"]
    notebook = write_notebook(tmp_path / "a.ipynb", *big)
    output = small_disk / "executed.ipynb"

    with pytest.raises(ToolError, match="No space left on device: free some space") as caught:
        execute_notebook.run(Options(notebook=notebook, output=output, log=tmp_path / "log"))

    assert caught.value.reason == Reason.DISK_FULL
    left = nbformat.read(output, as_version=4)
    assert "v" * 300_000 in str(left.cells[0].outputs)
    assert "there is no space left on the disk" in left.cells[-1].outputs[0].text
    assert set(small_disk.iterdir()) == {output, output.with_name("executed.progress.json")}


def test_the_working_directory_is_the_notebooks_folder_by_default(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "repo/a.ipynb", "import os; print(os.getcwd())")

    run(notebook)
    assert text_of(notebook.parent) == f"{tmp_path}/repo\n"

    run(notebook, cwd=tmp_path)
    assert text_of(notebook.parent) == f"{tmp_path}\n"


@pytest.mark.slow
def test_braces_in_a_path_are_just_characters(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "{x}/a.ipynb", "1")

    assert run(notebook).notebook == tmp_path / "{x}/out/executed.ipynb"
    assert (tmp_path / "{x}/out/executed.ipynb").is_file()


def test_a_kernel_that_does_not_start_says_why(tmp_path: Path, install_kernel: Install) -> None:
    install_kernel(
        "broken",
        sys.executable,
        "-c",
        "print('no driver'); raise SystemExit(1)",
    )
    error = failed(write_notebook(tmp_path / "a.ipynb", "1"), kernel="broken")

    assert type(error) is ToolError
    assert "kernel 'broken' did not start" in str(error)
    assert "kernel: no driver" in (tmp_path / "out/papermill.log").read_text()


def test_a_directory_is_not_a_notebook(tmp_path: Path) -> None:
    message = refused(tmp_path)

    assert message == (
        f"{tmp_path} is a directory: name a notebook in it; execute-notebooks runs several"
    )


def test_names_the_notebook_that_was_probably_meant(tmp_path: Path) -> None:
    write_notebook(tmp_path / "preprocessing.ipynb", "1")

    junit = tmp_path / "cells.xml"
    message = refused(tmp_path / "preprocesing.ipynb", reason=Reason.NOT_FOUND, junit=junit)

    assert "did you mean preprocessing.ipynb?" in message
    (suite,) = suites(junit)
    assert cases(suite) == [("the whole run", "error", message)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("not json", "it is not JSON"),
        ("[1]", "it is JSON without cells"),
        ('{"cells": []}', "it does not say its nbformat"),
        ("[" * 100_000, "it is not JSON"),
        ('{"cells": [], "nbformat": 4, "nbformat_minor": "5"}', "does not say its nbformat_minor"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a notebook"),
    ],
)
def test_a_file_that_is_not_a_notebook_is_refused(tmp_path: Path, content: str, said: str) -> None:
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(content)

    message = refused(notebook)

    assert said in message
    assert str(notebook) in message
    assert not (tmp_path / "out/executed.ipynb").exists()


@pytest.mark.parametrize(
    ("metadata", "cell", "said"),
    [
        ({"kernelspec": [1]}, {}, "metadata.kernelspec is not a mapping"),
        ({"kernelspec": {"name": 3}}, {}, "metadata.kernelspec is not a mapping with a name"),
        (
            {"language_info": "x"},
            {},
            "metadata.language_info or metadata.papermill is not a mapping",
        ),
        ({}, {"metadata": {"tags": [3]}}, "its cell 1 has tags that are not a list of words"),
        ({}, {"source": 3}, "its cell 1 has no source"),
        ({}, {"cell_type": "odd"}, "its cell 1 is neither code, markdown nor raw"),
    ],
)
def test_a_notebook_with_parts_of_the_wrong_type_is_refused(
    tmp_path: Path, metadata: dict[str, Any], cell: dict[str, Any], said: str
) -> None:
    usual = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": [], "id": "a"}
    document = {"cells": [usual | cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "a.ipynb").write_text(json.dumps(document))

    assert said in refused(tmp_path / "a.ipynb", kernel="python3")


@pytest.mark.parametrize("names", [("class=1",), ("a b=1",)])
def test_a_parameter_that_cannot_be_a_variable_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1", tags={0: ["parameters"]})

    error = failed(notebook, parameters=names, allow_unknown_parameters=True)
    injected = failed(notebook, parameters_yaml=('{"x\\nraise ValueError\\ny": 1}',))

    assert type(error) is type(injected) is ConfigurationError
    assert "cannot be the name of a parameter" in str(injected)


def test_a_parameter_that_holds_itself_is_bad_input(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1", tags={0: ["parameters"]})

    said = refused(notebook, parameters_yaml=("n: &x [*x]",))
    assert "--parameters-yaml refers to itself" in said


def test_a_name_that_is_too_long_is_bad_input(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1")
    long = tmp_path / ("x" * 300)

    for options in (Options(notebook=long, output=long), Options(notebook=notebook, output=long)):
        with pytest.raises(ConfigurationError, match="File name too long"):
            execute_notebook.run(options)


def test_a_kernel_whose_program_is_missing_is_named(
    tmp_path: Path, install_kernel: Install
) -> None:
    install_kernel("broken", "/no/such/python")
    message = refused(write_notebook(tmp_path / "a.ipynb", "1"), kernel="broken")

    assert "kernel 'broken' cannot be started: /no/such/python: No such file" in message


def test_the_limit_of_the_run_holds_for_the_kernels_start_too(
    tmp_path: Path, install_kernel: Install
) -> None:
    install_kernel("slow", sys.executable, "-c", "import time; time.sleep(60)")
    error = failed(write_notebook(tmp_path / "a.ipynb", "1"), kernel="slow", run_timeout=1.5)

    assert type(error) is ToolError
    assert error.reason == Reason.TIMEOUT


def test_a_notebook_that_names_no_kernel_needs_one(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "print('ran')", metadata={})

    assert "choose one with --kernel (installed: python3" in refused(notebook)

    run(notebook, kernel="python3")
    assert text_of(tmp_path) == "ran\n"


@pytest.mark.slow
def test_a_notebook_whose_kernelspec_lacks_the_language_runs(tmp_path: Path) -> None:
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = write_notebook(
        tmp_path / "a.ipynb", "n = 1", metadata=spec, tags={0: ["parameters"]}
    )

    run(notebook, parameters=("n=2",))

    assert executed(tmp_path).metadata.language_info.name == "python"


def test_an_unknown_kernel_is_refused_before_anything_runs(tmp_path: Path) -> None:
    message = refused(write_notebook(tmp_path / "a.ipynb", "1"), kernel="pyton3")

    assert "--kernel asks for kernel 'pyton3', which is not installed: did you mean" in message
    assert not (tmp_path / "out/executed.ipynb").exists()


def test_an_unknown_parameter_is_refused_unless_allowed(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "n = 1", tags={0: ["parameters"]})

    assert "no parameter 'm'" in refused(notebook, parameters=("m=2",))
    assert not (tmp_path / "out/executed.ipynb").exists()

    assert run(notebook, parameters=("m=2",), allow_unknown_parameters=True).cells_run == 1


def test_never_writes_over_the_notebook_itself(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1")
    before = notebook.read_bytes()

    with pytest.raises(ConfigurationError, match="is the notebook: name another"):
        execute_notebook.run(Options(notebook=notebook, output=tmp_path / "." / "a.ipynb"))

    assert notebook.read_bytes() == before


@pytest.mark.parametrize("output", ["out", "file/x.ipynb", "/proc/x.ipynb"])
def test_refuses_an_output_that_cannot_be_written(tmp_path: Path, output: str) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1")
    (tmp_path / "out").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"is a directory|cannot write to"):
        execute_notebook.run(Options(notebook=notebook, output=tmp_path / output))


def test_an_output_without_a_name_is_refused_before_the_first_cell(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "open('ran', 'w')")

    with pytest.raises(ConfigurationError, match=r"\.ipynb has no name before its extension"):
        execute_notebook.run(Options(notebook=notebook, output=tmp_path / "out/.ipynb"))

    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_working_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1")

    assert "no working directory" in str(failed(notebook, cwd=tmp_path / "gone"))


@pytest.mark.parametrize(
    ("signum", "exit_code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_what_was_done_and_leaves_no_kernel(
    tmp_path: Path, signum: int, exit_code: int
) -> None:
    hang = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    notebook = write_notebook(tmp_path / "a.ipynb", "print('kept')", hang)
    log = tmp_path / "out/papermill.log"
    command = [sys.executable, "-P", "-m", "stepkit", "execute-notebook"]
    flags = [f"--notebook={notebook}", f"--output={tmp_path}/out/executed.ipynb", "--log-output"]
    junit = tmp_path / "cells.xml"
    flags.append(f"--junit={junit}")
    child = subprocess.Popen([*command, *flags, f"--report={tmp_path}/report.json"])
    until(lambda: log.exists() and re.search(r"\| \d", log.read_text()))
    (suite,) = suites(junit)
    never = "started and never ended: killed from outside"
    assert cases(suite) == [("the whole run", "error", never)]

    child.send_signal(signum)

    assert child.wait(20) == exit_code
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["status"], report["reason"]) == ("cancelled", "cancelled")
    assert "1 of 2 cells had run" in report["message"]
    (suite,) = suites(junit)
    assert cases(suite) == [
        ("cell 1: print('kept')", "", ""),
        (f"cell 2: {hang}", "error", report["message"]),
    ]
    kept, pid = text_of(tmp_path).splitlines()
    assert kept == "kept"
    assert statuses(tmp_path) == ["completed", "failed"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
