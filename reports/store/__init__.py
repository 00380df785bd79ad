"""From where results are kept to plans and tidy frames; links back into MLflow.

They are kept in a tracking store, or in a file of records made of one: ``reader.py`` is
what both answer, ``records.py`` the file.

Whatever is read of a store passes ``foreign.py``; a new field of a plan that a report
looks at gets its type in ``plan_checks.py``.
"""
