"""Figures: their numbers first, then the drawing.

A new figure is a dataclass of final numbers and a function that draws it.
"""
