"""From the tracking store to plans and tidy frames; links back into MLflow.

Whatever is read of a store passes ``foreign.py``; a new field of a plan that a report
looks at gets its type in ``plan_checks.py``.
"""
