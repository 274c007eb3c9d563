"""A GPU without a GPU: a fake driver, a fake NVML, a stand-in for CuPy, and the real RMM."""

import os
from pathlib import Path

import nvml
from cuda_driver import fake_cuda

HERE = Path(__file__).parent


def whole_gpu(directory: Path, *, size: int = 8 << 30, **env: str) -> dict[str, str]:
    """Return the environment of processes that find a GPU of ``size`` bytes.

    ``env`` is added to it. What RMM hands out is memory of the host that is never written to.
    """
    found = fake_cuda(directory, FAKE_CUDA_INIT="0", FAKE_CUDA_TOTAL=str(size))
    (directory / "driver/libnvidia-ml.so.1").write_bytes(nvml.built())
    used = directory / "gpu-used"
    used.write_text("0")
    paths = [str(HERE / "cupy_on_host"), str(HERE), found.get("PYTHONPATH", "")]
    return {
        **found,
        "FAKE_CUDA_FREE": str(size),
        "FAKE_NVML_USED": str(used),
        "HOST_GPU_BYTES": str(size),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        **env,
    }
