"""A matrix runs its task once for each combination."""

from typing import Any

import pytest
from run_local.conftest import Local

from stepkit.errors import ConfigurationError, UserCodeError

W = "$(workspaces.shared.path)"


def values(**params: Any) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in params.items()]


def matrixed(on_machine: Local, command: str = "", **fields: Any) -> dict[str, Any]:
    """Return a task with params a and b that leaves a file for each combination."""
    write = "printf '%s' '$(params.a)$(params.b)' > $(results.r.path); "
    return on_machine.task(
        "m",
        write + (command or f"touch {W}/'$(params.a)-$(params.b)'"),
        _params=[{"name": "a", "default": ""}, {"name": "b", "default": ""}],
        _results=["r"],
        **fields,
    )


def consumer(on_machine: Local) -> dict[str, Any]:
    return on_machine.task(
        "all",
        f"""printf '%s\\n' "$@" > {W}/all""",
        _params=[{"name": "list", "type": "array"}],
        params=values(list="$(tasks.m.results.r[*])"),
        _steps=[
            on_machine.step(
                "sh", "-c", f'printf "%s " "$@" > {W}/all', args=["-", "$(params.list[*])"]
            )
        ],
    )


def made(on_machine: Local) -> list[str]:
    return sorted(path.name for path in on_machine.shared.iterdir() if "-" in path.name)


def test_every_combination_runs_and_the_results_are_collected_in_order(
    on_machine: Local,
) -> None:
    outputs = on_machine.run(
        matrixed(on_machine, matrix={"params": values(a=["1", "2"], b="$(params.list[*])")}),
        consumer(on_machine),
        params=[{"name": "list", "type": "array"}],
        results=[{"name": "r", "value": "$(tasks.m.results.r[*])"}],
        options={"param": ('list=["x", "z"]',)},
    )
    assert made(on_machine) == ["1-x", "1-z", "2-x", "2-z"]
    assert on_machine.read("all") == "1x 2x 1z 2z "
    assert outputs.results == {"r": ["1x", "2x", "1z", "2z"]}
    assert "m-3: started (a=2, b=z)" in on_machine.log


def test_include_adds_to_combinations_or_makes_new_ones(on_machine: Local) -> None:
    include = [
        {"name": "for one", "params": values(a="1", b="one")},
        {"name": "new", "params": values(a="3", b="three")},
    ]
    on_machine.run(
        matrixed(on_machine, matrix={"params": values(a=["1", "2"]), "include": include})
    )
    assert made(on_machine) == ["1-one", "2-", "3-three"]


def test_include_without_params_lists_the_combinations(on_machine: Local) -> None:
    include = [{"params": values(a="1", b="2")}, {"params": values(a="3")}]
    on_machine.run(matrixed(on_machine, matrix={"include": include}))
    assert made(on_machine) == ["1-2", "3-"]


def test_a_list_from_a_result_fans_out(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task(
            "list",
            """printf '["p", "q"]' > $(results.l.path)""",
            _results=[{"name": "l", "type": "array"}],
        ),
        matrixed(on_machine, matrix={"params": values(a="$(tasks.list.results.l[*])")}),
    )
    assert made(on_machine) == ["p-", "q-"]


def test_an_empty_list_skips_the_task(on_machine: Local) -> None:
    outputs = on_machine.run(
        matrixed(on_machine, matrix={"params": values(a="$(params.none[*])", b=["1"])}),
        params=[{"name": "none", "type": "array", "default": []}],
    )
    assert on_machine.statuses(outputs) == {"m": "Skipped"}


def test_one_failed_combination_fails_the_task_and_the_others_still_run(
    on_machine: Local,
) -> None:
    with pytest.raises(UserCodeError, match=r"^task m-0 failed with exit code 3$") as caught:
        on_machine.run(
            matrixed(
                on_machine,
                f"touch {W}/'$(params.a)-'; test $(params.a) = 2 || exit 3",
                matrix={"params": values(a=["1", "2"])},
            ),
            options={"jobs": 1},
        )
    assert made(on_machine) == ["1-", "2-"]
    assert on_machine.statuses(caught.value.outputs) == {"m": "Failed"}


def test_each_combination_is_retried_by_itself(on_machine: Local) -> None:
    command = f"echo $(params.a) >> {W}/tries; test $(params.a) = 2 || "
    command += f"test $(grep -c 1 {W}/tries) = 2"
    on_machine.run(
        matrixed(on_machine, command, retries=1, matrix={"params": values(a=["1", "2"])}),
        options={"jobs": 1},
    )
    assert sorted(on_machine.read("tries").split()) == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ({}, "a matrix needs params or include"),
        ({"params": values(a="text")}, "must be a list"),
        ({"params": values(a="$(params.p[*])")}, "is a string: write it without"),
        ({"params": values(a=[str(n) for n in range(257)])}, "more than 256 combinations"),
        ({"params": values(a=["1"]), "include": [{"params": values(b=["1"])}]}, "must be a string"),
        ({"params": values(p=["1"]), "strategy": "x"}, "unknown field 'strategy'"),
    ],
)
def test_a_wrong_matrix_is_refused(on_machine: Local, matrix: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        on_machine.run(matrixed(on_machine, matrix=matrix), params=[{"name": "p", "default": "x"}])
    assert not on_machine.shared.exists()


def test_a_param_is_given_by_matrix_or_by_params_but_not_by_both(on_machine: Local) -> None:
    with pytest.raises(ConfigurationError, match="'a' is given by params and by matrix"):
        on_machine.run(
            matrixed(on_machine, params=values(a="1"), matrix={"params": values(a=["1"])})
        )


def test_a_matrix_result_that_tekton_would_not_find_is_refused(on_machine: Local) -> None:
    matrix = {"params": values(a=["1"])}
    with pytest.raises(ConfigurationError, match="only if another task uses"):
        on_machine.run(
            matrixed(on_machine, matrix=matrix),
            results=[{"name": "r", "value": "$(tasks.m.results.r[*])"}],
        )
    with pytest.raises(ConfigurationError, match="is an array and does not fit into a string"):
        on_machine.run(
            matrixed(on_machine, matrix=matrix),
            on_machine.task(
                "one", "true", _params=[{"name": "x"}], params=values(x="$(tasks.m.results.r)")
            ),
        )
