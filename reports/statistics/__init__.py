"""Means, intervals, tests and rank correlations; numbers only.

A new statistic is a pure function here, with an oracle and a simulation in its test.
"""
