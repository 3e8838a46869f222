"""Transports: bytes and frames to texts and back, a module for each way in."""
