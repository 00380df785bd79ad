"""A study: one table or figure as data, checked and expanded to cells.

A new field of a study file starts in ``fields.py``; its rules are in ``checks.py``.
"""
