"""The table, and everything said around it, as text, Markdown, CSV and LaTeX.

A new format is a function of a finished ``Table`` in ``formats.py``.
"""
