"""The solver: cells given decoder, decoder given cells, in turn.

To be read as a fit goes: ``fit``, what it is given (``data``), where it starts (``start``), its iterations (``loop``)
with the step of cells (``cells``; ``newton`` where curvatures differ) and that of the decoder (``genes``). Then
activities of any cells (``project``), and a decoder of cells that memory does not hold (``passes``).
"""
