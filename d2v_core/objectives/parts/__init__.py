"""Parts that objectives are made of: targets, teacher, losses, heads, decoder.

Pure functions and small modules; none knows a configuration.
"""
