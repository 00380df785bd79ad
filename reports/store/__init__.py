"""From the tracking store to plans and tidy frames; links back into MLflow.

Runs become rows here; a column that is read back is added in ``frames.py``.
"""
