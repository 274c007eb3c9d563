"""The environment variables of all steps' secrets.

No child inherits SECRET_VARIABLES. Notebooks may read data with SHARED_VARIABLES, which hold the
secrets of object storage; the name of a key is not one of them.

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

SHARED_VARIABLES: Final = frozenset(
    {
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    }
)
