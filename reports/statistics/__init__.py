"""Means, intervals, tests and rank correlations; numbers only."""
