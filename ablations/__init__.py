"""The questions: studies, recipes, trial identity, and what a finished trial says.

A new study, recipe or search space is a YAML file; names that the store and its readers
agree on stand in ``mlflow_names.py``. Nothing here imports torch at once, or Ray.
"""
