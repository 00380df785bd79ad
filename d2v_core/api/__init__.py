"""The core as a library: pre-train on samples in memory, take features, evaluate.

What is exported by :mod:`d2v_core` itself is public and stays as it is between minor
versions; everything else may change. Here lives what turns arrays, waveforms, strings
and torch data sets into the core's own data, one file per modality.
"""
