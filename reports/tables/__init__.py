"""The table, and everything said around it, as text, Markdown, CSV and LaTeX.

A new column is a cell in ``table.py``; formats lay out what is there.
"""
