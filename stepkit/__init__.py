"""Run GPU notebooks unattended: one command per pipeline step."""

__version__ = "0.2.0"
__all__ = [
    "ConfigurationError",
    "Evidence",
    "Place",
    "Reason",
    "StepError",
    "StepResult",
    "ToolError",
    "UserCodeError",
    "check_environment",
    "clean_workspace",
    "collect_artifacts",
    "convert_notebook",
    "download_dataset",
    "execute_notebook",
    "execute_notebooks",
    "git_clone",
    "prepare_workspace",
    "publish_artifacts",
    "run",
    "run_tests",
    "send_notification",
    "summarize",
    "write_smoke_notebook",
]


def __getattr__(name: str) -> object:
    """Import what ``__all__`` names when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'stepkit' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = import_module("stepkit.api.public_names").find(name)
    return found


def __dir__() -> list[str]:
    """Name what completion offers."""
    return sorted({*globals(), *__all__})
