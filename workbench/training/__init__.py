"""Training of one run through TorchTitan. Everything below imports torch."""
