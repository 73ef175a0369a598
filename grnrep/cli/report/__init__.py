"""One page that shows a fit: what is on it, its figures, and how it is written as HTML."""

from grnrep.cli.report.contents import contents_of
from grnrep.cli.report.page import page

__all__ = ["contents_of", "page"]
