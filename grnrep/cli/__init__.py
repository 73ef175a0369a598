"""The command ``grnrep``: the verbs on files, for those who do not write Python."""

# commands come into the help in the order of these
from grnrep.cli import fitting, installation, results, simulations
from grnrep.cli.app import app

__all__ = ["app", "fitting", "installation", "results", "simulations"]
