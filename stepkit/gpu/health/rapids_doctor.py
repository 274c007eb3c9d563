"""RAPIDS' own checks (`rapids doctor`), where the kernel's environment has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError
from stepkit.gpu.health import probe_runner
from stepkit.gpu.health.findings import Finding
from stepkit.system import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHECK: Final = "doctor"
_REMEDY: Final = "`rapids doctor --verbose` says more"


def findings(
    python: str,
    told: Mapping[str, Any],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Run the checks that ``told`` names (``doctor`` of a diagnosis' facts); none yield nothing.

    What they find is no error of ours, nor is that they do not start: the probe has said whether
    the GPU can be used. They end after ``timeout`` seconds.
    """
    try:
        if told["checks"]:
            yield from _registered(python, told["checks"], timeout, env)
        elif told["command"]:
            yield _command(told["command"], timeout, env)
    except StepError as error:
        yield _warning(str(error))


def _registered(
    python: str, checks: list[str], timeout: float, env: Mapping[str, str] | None
) -> Iterator[Finding]:
    answers = probe_runner.ask(
        [python, str(probe_runner.DOCTOR)], env=env, directory=None, timeout=timeout, stop=None
    )
    passed = [name for name in checks if answers.of(name) == {"warnings": []}]
    if passed:
        yield Finding(check=_CHECK, text=f"passed: {', '.join(passed)}")
    for name in checks:
        said = answers.of(name)
        for text in said.get("warnings", ()):
            yield _warning(f"{name}: {text}")
        if "error" in said:
            yield _warning(f"{name} failed: {said['error'][1] or said['error'][0]}")
    if missing := [name for name in checks if name not in answers.stages]:
        how = f"did not end within {timeout:g} s" if answers.timed_out else "ended without a word"
        yield _warning(f"{missing[0]} {how}")


def _command(command: str, timeout: float, env: Mapping[str, str] | None) -> Finding:
    done = process.run([command, "doctor"], env=env, timeout=timeout, kill_on_timeout=True)
    if done.timed_out:
        return _warning(f"rapids doctor did not end within {timeout:g} s")
    if done.code == 0:
        return Finding(check=_CHECK, text=f"{command} doctor passed")
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    return _warning(f"rapids doctor failed: {lines[-1] if lines else f'exit code {done.code}'}")


def _warning(text: str) -> Finding:
    one_line = " ".join(text.split())
    return Finding(check=_CHECK, level="warning", text=one_line, remedy=_REMEDY)
