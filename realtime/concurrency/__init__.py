"""Threads, tasks and batching. Knows nothing of rooms."""
