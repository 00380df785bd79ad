"""Speech: synthetic digits, manifests, torchaudio's sets; cropped and batched.

A new source of speech is a file that lists its splits, and a line in ``files.py``
(``dataset.py`` for one that makes its own sound); decoding and checks are shared.
"""
