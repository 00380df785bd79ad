"""The ``d2v`` command; each verb calls one room, heavy imports inside the verb."""

from d2v_cli.app import app, main

__all__ = ["app", "main"]
