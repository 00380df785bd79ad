"""Ray as the engine: session, cluster, trials handed to Tune, deaths of workers.

Names of Ray that are not public are used in ``compat.py`` alone.
"""
