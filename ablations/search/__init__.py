"""A search: its space, what it found, and the path from the paper's setting to it.

What Optuna is told lies in ``sweeps/search``.
"""
