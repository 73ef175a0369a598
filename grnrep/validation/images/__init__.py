"""The paper's two experiments on images: a decoder alone against an autoencoder."""
