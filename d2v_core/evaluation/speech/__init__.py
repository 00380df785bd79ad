"""How speech encoders are scored: words recognised by CTC, utterances classified.

A new measure of recognition is a function beside ``word_errors.py``.
"""
