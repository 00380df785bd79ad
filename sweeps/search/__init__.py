"""Searches: Optuna suggests, Ray trains, everything is kept.

Samplers and Optuna's store are chosen in ``study.py``, early stopping in ``engine.py``.
"""
