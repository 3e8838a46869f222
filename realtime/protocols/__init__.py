"""The wire protocols, as pure functions from text to commands and back: no I/O, no Django."""
