"""An NVIDIA GPU for tests: without one they are skipped, or fail with STEPKIT_REQUIRE_GPU."""

import os

import pytest

from stepkit.gpu.health import preflight
from stepkit.gpu.health.preflight import Diagnosis


@pytest.fixture(scope="session")
def real_gpu() -> Diagnosis:
    """What the preflight finds, where CuPy and RMM can use the GPU."""
    found = preflight.diagnose(need="required", tries=1)
    libraries = [f for f in found.findings if f.check == "libraries" and f.level != "ok"]
    obstacle = "" if found.usable else found.message
    obstacle = obstacle or "; ".join(f"{finding.text}: {finding.remedy}" for finding in libraries)
    if obstacle and os.environ.get("STEPKIT_REQUIRE_GPU"):
        pytest.fail(f"no GPU to test on, and one is required: {obstacle}")
    if obstacle:
        pytest.skip(f"no GPU to test on: {obstacle}")
    return found
