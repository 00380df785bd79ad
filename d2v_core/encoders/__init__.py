"""Encoders: one file per modality."""
