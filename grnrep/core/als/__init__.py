"""The solver: cells given decoder, decoder given cells, in turn."""
