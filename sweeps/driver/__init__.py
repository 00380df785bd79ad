"""A run from start to end: budget, board, bookkeeper, event log, outcome.

What a person sees while it runs is ``progress.py``.
"""
