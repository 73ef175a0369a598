"""How expression scatters about what the decoder predicts."""
