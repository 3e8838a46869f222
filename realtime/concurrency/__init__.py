"""Threads, tasks and batching. Nothing in here depends on rooms."""
