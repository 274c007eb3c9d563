"""Run the checks of `rapids doctor`, where the kernel's environment has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import StepError
from stepkit.gpu.health import run_probe
from stepkit.gpu.health.findings import Finding, warning
from stepkit.system import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHECK: Final = "doctor"


def findings(
    python: str,
    available: Mapping[str, Any],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Run the checks that are ``available`` (``doctor`` in a diagnosis' facts), and yield findings.

    What they find, or that they do not start, is only a warning: the probe has shown whether the
    GPU can be used. They end after ``timeout`` seconds.
    """
    try:
        if available["checks"]:
            yield from _run_registered(python, available["checks"], timeout, env)
        elif command := available["command"]:
            done = process.run([command, "doctor"], env=env, timeout=timeout, kill_on_timeout=True)
            if done.code == 0 and not done.timed_out:
                yield Finding(check=_CHECK, text=f"{command} doctor passed")
            elif done.timed_out:
                yield _warning(f"rapids doctor did not end within {timeout:g} s")
            else:
                lines = [line.strip() for line in done.output.splitlines() if line.strip()]
                last = lines[-1] if lines else f"exit code {done.code}"
                yield _warning(f"rapids doctor failed: {last}")
    except StepError as error:
        yield _warning(str(error))


def _run_registered(
    python: str, checks: list[str], timeout: float, env: Mapping[str, str] | None
) -> Iterator[Finding]:
    answers = run_probe.ask(
        [python, str(run_probe.RAPIDS_DOCTOR)], env=env, directory=None, timeout=timeout, stop=None
    )
    passed = [name for name in checks if answers.of(name) == {"warnings": []}]
    if passed:
        yield Finding(check=_CHECK, text=f"passed: {', '.join(passed)}")
    for name in checks:
        outcome = answers.of(name)
        for text in outcome.get("warnings", ()):
            yield _warning(f"{name}: {text}")
        if "error" in outcome:
            yield _warning(f"{name} failed: {outcome['error'][1] or outcome['error'][0]}")
    if missing := [name for name in checks if name not in answers.stages]:
        how = f"did not end within {timeout:g} s" if answers.timed_out else "ended without a word"
        yield _warning(f"{missing[0]} {how}")


def _warning(text: str) -> Finding:
    return warning(_CHECK, " ".join(text.split()), "`rapids doctor --verbose` says more")
