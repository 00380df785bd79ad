"""Images: embedded digits, folders, torchvision's sets; augmented and batched.

A new source of images is a file here and a line in ``modalities/vision.py``; whoever
changes how files are decoded raises ``VERSION`` in ``decoded_images.py``.
"""
