"""Parts that objectives are made of: targets, teacher, losses, heads.

Pure functions and small modules; none knows a configuration.
"""
