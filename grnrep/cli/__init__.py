"""The command ``grnrep``: the verbs on files, for those who do not write Python."""

from grnrep.cli.commands import app

__all__ = ["app"]
