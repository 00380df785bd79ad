"""Verdicts on claims: what counts as evidence, the rules, the scorecard.

A new rule is a function in ``rules.py`` or ``rank_rules.py``.
"""
