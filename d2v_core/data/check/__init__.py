"""What a folder is understood as, before anything is trained: for ``d2v data``.

A new kind of data gets a function from folder to ``Checked`` in a module here.
"""
