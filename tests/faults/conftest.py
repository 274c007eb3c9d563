from faults.harness import fault

__all__ = ["fault"]
