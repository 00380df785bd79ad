"""Encoders, which all offer what ``encoder.py`` says; one file per modality.

A new encoder is a file here, built by its modality.
"""
