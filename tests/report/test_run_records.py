"""The records that tests render are records that the published schema admits."""

import pytest
import run_records


@pytest.mark.parametrize("name", run_records.RUNS)
def test_a_made_record_fits_the_schema(name: str) -> None:
    run_records.validate(run_records.RUNS[name]())


def test_a_record_without_its_verdict_is_refused() -> None:
    record = run_records.run(verdict="maybe")

    with pytest.raises(AssertionError, match="verdict"):
        run_records.validate(record)
