"""The embedded speech data: strings of digits from a formant synthesiser.

Changing anything here changes the data, and with it every key of a speech trial.
"""
