"""grnrep."""
