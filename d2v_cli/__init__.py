"""The ``d2v`` command: a module per verb, each calls one room.

A verb imports what is heavy inside its function: ``d2v --help`` loads no torch and no
Ray. A new verb is a module and a word in ``app.py``; options that verbs share are in
``options.py``.
"""

import sys

try:
    import rich  # noqa: F401
    import ruamel.yaml  # noqa: F401
    import typer  # noqa: F401
except ModuleNotFoundError as error:  # the core was installed alone
    sys.exit(
        f"the command needs {error.name}; "
        "pip install 'd2v-ablation-lab[report]' installs all it needs, and the core "
        "works without: from d2v_core import pretrain"
    )

from d2v_cli.app import app, main

__all__ = ["app", "main"]
