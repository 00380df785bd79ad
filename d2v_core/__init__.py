"""data2vec on PyTorch and timm: masks, teacher, targets, loss, training, evaluation.

Reference: Baevski et al. 2022, arXiv 2202.03555v3. Usable alone; knows nothing of Ray,
MLflow, Optuna or pandas.

Axis names in signatures, everywhere in the package:

==========  ==========================================================
``batch``   samples
``tokens``  positions of the encoder without prefix tokens (patches)
``dim``     channels of the encoder
``masked``  masked positions of the whole batch, pooled
``rows``    rows (and ``columns``) of the patch grid
``height``  pixels (and ``width``)
==========  ==========================================================
"""
