"""Datasets and the machine in the record of a run."""

from pathlib import Path
from typing import Any

from recorded import summarized
from step_reports import write_report


def test_a_dataset_has_its_checksum_and_says_whether_it_was_cached(tmp_path: Path) -> None:
    came = ["cache", "downloaded", "kept"]
    datasets = [
        {"path": f"h5/{how}.h5ad", "url": "https://x.org/a", "sha256": "ab", "size": 7, "came": how}
        | ({"verified_by": "md5"} if how == "kept" else {})
        for how in came
    ]
    outputs = {"directory": str(tmp_path / "data"), "datasets": datasets}
    write_report(tmp_path / "reports", "download-dataset", outputs=outputs)

    found = summarized(tmp_path)["datasets"]

    assert [(one["name"], one["path"], one["from_cache"]) for one in found] == [
        ("h5/cache.h5ad", "../data/h5/cache.h5ad", True),
        ("h5/downloaded.h5ad", "../data/h5/downloaded.h5ad", False),
        ("h5/kept.h5ad", "../data/h5/kept.h5ad", None),
    ]
    assert (found[0]["size"], found[0]["sha256"]) == (7, "ab")
    assert [one["verified_by"] for one in found] == [None, None, "md5"]


def test_the_machine_is_what_was_checked_else_what_the_first_notebook_saw(tmp_path: Path) -> None:
    device: dict[str, Any] = {"index": 0, "name": "H100", "uuid": "GPU-1", "memory_total": 80}
    seen = {**device, "name": "seen", "driver": "580.1", "cuda_driver": "13.0", "xids": []}
    write_report(tmp_path / "reports", "execute-notebook", outputs={"gpu": {"devices": [seen]}})
    first = summarized(tmp_path)["environment"]
    finding = {"check": "shm", "level": "warning", "text": "small", "remedy": "mount more"}
    outputs = {"devices": [device], "driver": "570", "cuda": "12.8", "findings": [finding]}
    write_report(tmp_path / "reports", "check-environment", outputs=outputs)

    checked = summarized(tmp_path)["environment"]

    assert first["gpus"] == [{**device, "name": "seen"}]
    assert (first["driver"], first["cuda"], first["findings"]) == ("580.1", "13.0", [])
    assert checked["gpus"] == [device]
    assert (checked["driver"], checked["cuda"]) == ("570", "12.8")
    assert checked["findings"] == [
        {"name": "shm", "level": "warning", "message": "small: mount more"}
    ]
