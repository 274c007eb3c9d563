"""What a user reads when stepkit refuses something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(call: Callable[..., object], *args: Any, **more: Any) -> str:
    """Return the message of the ConfigurationError that a call raises: it is one line."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)
