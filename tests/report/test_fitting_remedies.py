"""The remedies for a failure fit the run, and name its own error and address."""

import re
import shlex
from typing import Any

import pytest
import run_records

from stepkit.gpu.health import remedies
from stepkit.report.fitting_remedies import fitting_remedies
from stepkit.report.run_json import RunJson
from stepkit.rules.tolerances import Tolerances, parse_tolerance


def text_of(record: RunJson) -> str:
    assert record["cause"] is not None
    return "\n".join(fitting_remedies(record, record["cause"]))


def failed(host: str = "local", again: Any = (), **cause: Any) -> RunJson:
    record = run_records.failed()
    assert record["cause"] is not None
    record["cause"].update(cause)  # type: ignore[typeddict-item]
    record["identity"]["host"] = host
    for step in record["steps"]:
        if step["name"] == record["cause"]["step"]:
            step["again"] = list(again)
    return record


@pytest.mark.parametrize(
    ("ename", "evalue"),
    [
        ("KeyError", "'pca'"),
        ("CalledProcessError", "Command 'b'set -e\\nexit 2\\n'' returned non-zero exit status 2."),
        ("ValueError", "shapes (3,4) and (5,) not aligned: 4 (dim 1) != 5 (dim 0)"),
        ("AssertionError", ""),
        ("OSError", "it's [a|b] $HOME `date` \\d+ ('x')"),
        ("ValueError", "Überschrift\nfehlt"),
        ("ValueError", "word " * 5_000),
    ],
)
def test_the_advised_tolerance_is_one_word_of_a_shell_that_accepts_this_error(
    ename: str, evalue: str
) -> None:
    record = failed(error=run_records.error(ename=ename, evalue=evalue))

    advised = re.search("declare it: `(--tolerate .*?)`", text_of(record))

    assert advised
    flag, *declared = shlex.split(advised[1])
    assert (flag, len(declared)) == ("--tolerate", 1)
    assert declared[0].startswith(ename)
    assert Tolerances([(parse_tolerance(declared[0]), None)]).accept("a", ename, evalue)


def test_the_advised_tolerance_excuses_the_file_that_is_missing_alone() -> None:
    evalue = "[Errno 2] No such file or directory: 'data/a.csv'"
    error = run_records.error(ename="FileNotFoundError", evalue=evalue)

    advised = re.search("declare it: `(--tolerate .*?)`", text_of(failed(error=error)))

    assert advised
    declared = Tolerances([(parse_tolerance(shlex.split(advised[1])[1]), None)])
    assert not declared.accept("a", "FileNotFoundError", evalue.replace("a.csv", "b.csv"))
    assert declared.accept("a", "FileNotFoundError", evalue)


def test_the_advised_tolerance_of_a_script_covers_the_text_that_the_kernel_reports() -> None:
    error = run_records.error(
        ename="CalledProcessError",
        evalue="the script returned non-zero exit status 2: ls: cannot access the directory",
    )
    advised = re.search("declare it: `(--tolerate .*?)`", text_of(failed(error=error)))
    assert advised

    declared = parse_tolerance(shlex.split(advised[1])[1])

    evalue = "Command 'b'ls x\\n'' returned non-zero exit status 2."
    assert Tolerances([(declared, None)]).accept("a", "CalledProcessError", evalue)


@pytest.mark.parametrize("ename", ["", "x'; rm -rf y", "a.b"])
def test_without_the_class_of_an_error_the_advice_is_neutral(ename: str) -> None:
    for error in (run_records.error(ename=ename), None):
        assert "`--tolerate 'ENAME:REGEX # why'`" in text_of(failed(error=error))


def test_a_flag_that_was_given_is_not_advised() -> None:
    died = {"reason": "kernel-died", "message": "the kernel died"}

    assert "`--log-output true`" in text_of(failed(**died))
    assert "`--log-output true`" in text_of(failed(again=["--log-output", "false"], **died))
    assert "--log-output" not in text_of(failed(again=["x", "--log-output", "true"], **died))


def test_a_missing_branch_has_the_address_of_its_repository_and_no_advice_about_kernels() -> None:
    url = "https://git.example.com/notebooks.git"
    message = f"{url} has no branch or tag 'mian' (branches: main)"

    text = text_of(failed(reason="not-found", message=message))

    assert f"`git ls-remote {url}`" in text
    assert "kernelspec" not in text


def test_a_missing_kernel_has_no_advice_about_repositories() -> None:
    text = text_of(failed(reason="not-found", message="there is no kernel 'r' (python3)"))

    assert "`jupyter kernelspec list`" in text
    assert "ls-remote" not in text


def test_a_refused_token_has_its_variables_its_address_and_its_secret_for_run_local() -> None:
    url = "https://git.example.com/tests.git"
    message = f"git ls-remote of {url} failed: is GIT_TOKEN set, valid, and allowed to read it?"

    text = text_of(failed(reason="auth", message=message))

    assert "(`GIT_TOKEN`, `DATASET_TOKEN`, `NOTIFY_URLS`)" in text
    assert f"`git ls-remote {url}`" in text
    assert "`--secret git-token=DIR`" in text
    dataset = text_of(failed(reason="auth", message="is DATASET_TOKEN set?"))
    assert "git-token" not in dataset


def test_an_address_that_is_unknown_is_not_asked_for() -> None:
    assert "URL" not in text_of(failed(reason="network", message="no route to host"))


def test_what_helps_on_a_cluster_alone_is_advised_there_alone() -> None:
    assert "kubectl" in text_of(failed("tekton", reason="killed"))
    assert "kubectl" not in text_of(failed("github", reason="killed"))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("kernel-died", "the kernel died during cell 4 of 9"),
        ("kernel-hung", "cell 4 of 9 did nothing for 600 s"),
        ("gpu-busy", "the GPU is in exclusive mode, and in use"),
        ("network", "cell 4 of 9 raised ConnectionError: reset"),
    ],
)
def test_another_attempt_is_advised_for_bad_luck_unless_it_was_given(
    reason: str, message: str
) -> None:
    given = ["execute-notebook", "--attempts", "3"]

    for again, advised in ([], True), (given, False):
        text = text_of(failed(again=again, reason=reason, message=message))

        assert ("run the notebook again: `--attempts 3`" in text) is advised
        assert ("fails with `--fail-on-flaky`" in text) is advised


def test_a_server_that_gave_up_is_tried_more_often_and_no_notebook_again() -> None:
    text = text_of(failed(reason="network", message="GET https://example.com: 503, 5 times"))

    assert "each request" in text
    assert "execute-notebook" not in text


def test_a_word_that_is_not_a_reason_has_no_remedies() -> None:
    record = failed(reason="oom")

    assert text_of(record) == ""


@pytest.mark.parametrize(
    ("message", "fits", "does_not"),
    [
        ("36 % of calls ran on the CPU, and ...: Series.map", "accept more", "%load_ext"),
        ("no call of cudf.pandas or cuml.accel was counted", "%load_ext", "accept more"),
        ("9 % of calls ran on the CPU; 1 call for want of GPU memory", "managed", "%load_ext"),
    ],
)
def test_calls_on_the_cpu_have_remedies_that_fit_their_cause(
    message: str, fits: str, does_not: str
) -> None:
    text = text_of(failed(reason="cpu-fallback", message=message))

    assert fits in text
    assert does_not not in text


def test_rmms_allocators_are_advised_where_rmm_hands_out_the_memory() -> None:
    by_rmm, by_jax = (
        failed(reason="gpu-out-of-memory", message=f"{cause.what}: cell 2 raised {ename}")
        for cause, ename in (
            (remedies.OUT_OF_MEMORY, "MemoryError"),
            (remedies.OWN_ALLOCATOR_FULL, "XlaRuntimeError"),
        )
    )

    assert "--rmm-mode managed" in text_of(by_rmm)
    assert "--on-gpu-oom retry-lower" in text_of(by_rmm)
    assert "--variant lite" in text_of(by_jax)
    assert not re.search("--rmm-mode|--on-gpu-oom", text_of(by_jax))


def test_a_missing_module_is_named_with_the_place_for_its_package() -> None:
    message = "cell 2 of 3 (`import a`) raised ModuleNotFoundError: No module named 'squidpy.gr'"

    text = text_of(failed(message=message))

    assert "the package of the module `squidpy.gr` to the kernel's environment" in text
    assert text.index("`pip install`") < text.index("`images/notebook.in`")
    assert "--tolerate" not in text
    assert "install nothing in the notebook" not in text


def test_a_refused_installation_is_advised_against_where_it_was_tried_alone() -> None:
    refused = "cell 2 raised ImportError; cell 1 could not install packages: [Errno 13]"

    assert "install nothing in the notebook" in text_of(failed(message=refused))
    assert not re.search(
        "install nothing|MODULE", text_of(failed(message="cell 2 raised KeyError"))
    )
