"""The command that readies an installation."""

from __future__ import annotations

from grnrep.cli.app import FIT, command
from grnrep.cli.shell import out


@command("compile", rich_help_panel=FIT)
def compile_kernels() -> None:
    """Compile now what the first fit would, once; it takes seconds, and is kept beside the package."""
    from grnrep.core.kernels import compile_all

    compile_all()
    out.print("Done: the first fit has nothing left to compile.")
