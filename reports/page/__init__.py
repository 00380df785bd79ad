"""The report as one HTML page that needs nothing else.

Templates and style sheet may change freely; they are given final numbers and texts.
"""
