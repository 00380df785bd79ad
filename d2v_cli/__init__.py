"""The ``d2v`` command: a module per verb, each calls one room.

A verb imports what is heavy inside its function: ``d2v --help`` loads no torch and no
Ray. A new verb is a module and a word in ``app.py``; options that verbs share are in
``options.py``.
"""

from d2v_cli.app import app, main

__all__ = ["app", "main"]
