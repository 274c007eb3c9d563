"""Messages that never arrived are counted, and others are not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import execute

from stepkit.engine.lost_messages import ReceivedMessages


def message(number: int | str, pid: int = 7) -> dict[str, Any]:
    return {"header": {"msg_id": f"a-b_{pid}_{number}"}}


def counted(*numbers: int | str, first: int | str = 3) -> int:
    received = ReceivedMessages(7)
    received.begin(message(first))
    for number in numbers:
        received.add(message(number))
    return received.lost


def test_complete_messages_in_any_order_are_not_counted_as_lost() -> None:
    assert counted(3, 4, 5, 6) == 0
    assert counted(6, 4, 3, 5) == 0


def test_missing_messages_are_counted() -> None:
    assert counted(3, 4, 6, 9) == 3
    assert counted(5) == 2


def test_messages_before_the_first_cell_are_not_counted() -> None:
    assert counted(1, 3, 4) == 0
    assert counted(0, 2, 3, 5) == 1


def test_counting_starts_at_the_first_cell() -> None:
    received = ReceivedMessages(7)
    received.begin(message(3))
    received.add(message(3))
    received.begin(message(9))
    received.add(message(9))

    assert received.lost == 5


def test_nothing_is_counted_before_a_cell_starts() -> None:
    received = ReceivedMessages(7)
    received.add(message(1))
    received.add(message(9))

    assert received.lost == 0


def test_messages_of_forked_children_are_not_counted() -> None:
    received = ReceivedMessages(7)
    received.begin(message(3))
    for number, pid in ((3, 7), (4, 7), (90, 8), (5, 8), (5, 7)):
        received.add(message(number, pid))

    assert received.lost == 0


@pytest.mark.parametrize("name", ["", "0b2c-44", "a_b_c", "a_7_", "1_7_3\n", "x_77_3"])
def test_a_kernel_that_numbers_nothing_is_not_counted(name: str) -> None:
    received = ReceivedMessages(7)
    unnumbered = {"header": {"msg_id": name}}
    received.begin(unnumbered)
    received.add(unnumbered)
    received.add({"header": {}})

    assert received.lost == 0


@pytest.mark.slow
@given(st.sets(st.integers(1, 60)), st.integers(1, 60))
def test_the_count_equals_the_size_of_the_gaps(dropped: set[int], total: int) -> None:
    arrived = [number for number in range(total) if number not in dropped]
    gaps = {number for number in dropped if number < max(arrived)}

    assert counted(*arrived, first=0) == len(gaps)


def test_a_kernel_that_drops_its_outputs_is_detected(tmp_path: Path) -> None:
    """It makes a message and does not send it, as with a full queue."""
    drops = (
        "session = get_ipython().kernel.session\n"
        "for _ in range(5): session.msg('stream', {'name': 'stdout', 'text': 'lost'})\n"
        "print('kept')"
    )
    outcome = execute(tmp_path, drops, "2")

    assert outcome.execution.messages_lost == 5
