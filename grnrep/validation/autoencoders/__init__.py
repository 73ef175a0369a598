"""The study of the autoencoder family."""
