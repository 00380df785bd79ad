"""One trial in its own process: training, checkpoints, what it reports.

No MLflow here: the driver is the only writer of the store.
"""
