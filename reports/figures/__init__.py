"""Figures: their numbers first, then declarative Vega-Lite specs, then pictures.

A new figure is a function from numbers to :class:`reports.figures.spec.Chart`; how
things look is :mod:`reports.figures.spec`, and nothing else here knows about it.
"""
