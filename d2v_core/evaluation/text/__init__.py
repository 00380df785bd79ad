"""How text encoders are scored: GLUE-style tasks, frozen or fine-tuned.

A new score of a task is a function in ``glue_metrics.py``.
"""
