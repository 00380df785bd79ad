"""Text: the embedded corpus, line files, tables of tasks; tokenised and batched.

A new corpus or task format is a file here and a line in ``dataset.py``; whoever changes
rows or the training of the tokenizer raises ``VERSION`` in ``tokenizer.py``.
"""
