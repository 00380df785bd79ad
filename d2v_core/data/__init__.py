"""Data of each modality; here what they share: cache, splits, refusals of files.

A new source of data belongs in its modality's folder.
"""
