"""Means, intervals, tests and rank correlations; numbers only.

A new statistic is a pure function here; words for it belong in ``tables``.
"""
