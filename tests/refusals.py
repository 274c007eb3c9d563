"""What a user reads when stepkit refuses something."""

from collections.abc import Callable
from typing import Any

import pytest

from stepkit.errors import ConfigurationError


def refusal(call: Callable[..., object], *args: Any, **more: Any) -> str:
    """Return the message of the ConfigurationError that a call raises: it is one line."""
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)
