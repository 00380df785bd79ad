"""How image encoders are scored: linear probe, k-NN, fine-tuning.

A new evaluation of images is a file here, called by ``evaluate.py``.
"""
