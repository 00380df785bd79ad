"""Speech: synthetic digits, manifests, torchaudio's sets; cropped and batched.

A new source of speech is a file here and a line in ``dataset.py``.
"""
