"""The environment variables of all steps' secrets, which no child inherits.

Made by `make generated` from the options of the steps: change those.
"""

from __future__ import annotations

from typing import Final

SECRET_VARIABLES: Final = frozenset(
    {
        "DATASET_TOKEN",
        "GITHUB_TOKEN",
        "GIT_TOKEN",
        "METRICS_PUSH_PASSWORD",
        "METRICS_PUSH_TOKEN",
        "METRICS_PUSH_USER",
        "NOTIFY_URLS",
        "NOTIFY_WEBHOOK",
    }
)
