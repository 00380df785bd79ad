"""Breaks the code in typical ways and says which the tests notice.

By hand, after a change to the tests: ``python -m tests.mutations`` (about a quarter of
an hour on two cores; what it said is in docs/log.md). ``--commit COMMIT`` takes the
code and the tests of a commit instead of the working tree; names of mutations choose
some. New mistakes are one entry in ``table.py``: where to look, what stands there
exactly once, what to put there, and which tests should fail.
"""
