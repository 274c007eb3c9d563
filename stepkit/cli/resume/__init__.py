"""``--resume RUN``: reuse what an earlier run proved, instead of running a step again.

:mod:`~stepkit.cli.resume.proof` writes into a step's report what its outcome depends on, and
:mod:`~stepkit.cli.resume.reuse` compares that with the earlier run, and copies its files.
"""
