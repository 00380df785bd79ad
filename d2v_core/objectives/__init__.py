"""What is optimised: one file for each objective.

A new objective is a file here and a line in its table; nothing else changes.
"""
