"""Figures: their numbers first, then the drawing.

Colours and sizes may change freely; what is drawn is decided in ``curve.py``.
"""
