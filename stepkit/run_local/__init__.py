"""Run a Tekton Pipeline on this machine: the order of its tasks, their processes, the verdict."""
