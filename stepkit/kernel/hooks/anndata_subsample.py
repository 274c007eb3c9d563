"""The stock hook anndata-subsample; from `class` on it is the source of a notebook's first cell."""
# ruff: noqa: T201 - what the cell prints is its output

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _StepkitAnndataSubsample:
    """Cuts what anndata and scanpy read to some rows and columns.

    anndata is not imported here; an import hook waits for it, because the notebook may have to load
    another module first, such as cudf.pandas.
    """

    def __init__(self, max_obs: "int | None", max_vars: "int | None", seed: int) -> None:
        self.limits = max_obs, max_vars
        self.seed = seed

    def install(self) -> None:
        import importlib.util
        import sys

        if "anndata" in sys.modules:
            self.wrap_readers()
        elif importlib.util.find_spec("anndata") is None:
            print("stepkit: anndata is not installed: anndata-subsample does nothing")
        else:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, *_rest: object) -> "Any":
        """Find anndata as without this hook, and wrap its readers after the import."""
        import importlib.util
        import sys

        if name != "anndata":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_wrap(module: object) -> None:
            execute(module)
            self.wrap_readers()

        spec.loader.exec_module = execute_and_wrap
        return spec

    def wrap_readers(self) -> None:
        import sys

        for module in ("anndata", "anndata.io", "scanpy", "scanpy.readwrite"):
            for name in ("read_h5ad", "read_zarr"):
                reader = getattr(sys.modules.get(module), name, None)
                if reader is not None and not hasattr(reader, "stepkit_subsample"):
                    setattr(sys.modules[module], name, self.wrapped(reader))

    def wrapped(self, reader: "Callable[..., Any]") -> "Callable[..., Any]":
        import functools

        @functools.wraps(reader)
        def read(*args: "Any", **options: "Any") -> "Any":
            backed = options.get("backed", args[1] if len(args) > 1 else None)
            if backed:
                raise ValueError(
                    f"stepkit's anndata-subsample cannot cut what {reader.__name__} opens with "
                    f"backed={backed!r}: read it into memory, or run without this variant"
                )
            return self.cut(reader(*args, **options), reader.__name__)

        vars(read)["stepkit_subsample"] = True
        return read

    def cut(self, data: "Any", reader: str) -> "Any":
        size = "{} x {}".format(*data.shape)
        rows, columns = (self.kept(axis, data.shape[axis]) for axis in (0, 1))
        if rows is None and columns is None:
            print(f"stepkit: {reader}: {size} is small enough (anndata-subsample)")
            return data
        everything = slice(None)
        data = data[
            everything if rows is None else rows, everything if columns is None else columns
        ].copy()
        kept = "{} x {}".format(*data.shape)
        print(f"stepkit: {reader}: {kept} of {size} kept (anndata-subsample, seed {self.seed})")
        return data

    def kept(self, axis: int, size: int) -> "Any":
        """Draw which rows (axis 0) or columns (1) stay, in their order; None means all.

        Each axis has separate random numbers: files of equal width keep the same columns.
        """
        limit = self.limits[axis]
        if limit is None or size <= limit:
            return None
        import numpy as np

        numbers = np.random.default_rng([self.seed, axis])
        return np.sort(numbers.choice(size, limit, replace=False))
