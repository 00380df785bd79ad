"""Figures: their numbers first, then the drawing."""
