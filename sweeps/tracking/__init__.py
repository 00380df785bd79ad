"""Where results go: the tracking store, its one writer, locks on trials.

What a run carries in MLflow is decided in ``labels.py``.
"""
