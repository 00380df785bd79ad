"""Verdicts on claims: what counts as evidence, the rules, the scorecard.

A new rule is a function in ``rules.py`` or ``rank_rules.py``, a line in ``apply.py``,
and its case in ``tests/reports/claims/test_type_one_error.py``.
"""
