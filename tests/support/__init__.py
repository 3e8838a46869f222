"""Helpers that tests share: processes, faults, clients, and parts of a site."""
