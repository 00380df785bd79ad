"""Searches: Optuna suggests, Ray trains, everything is kept."""
