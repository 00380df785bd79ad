"""A run from start to end: plan, engine, board, event log, stopping.

What a person sees while it runs is ``progress.py``.
"""
