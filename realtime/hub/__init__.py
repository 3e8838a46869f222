"""The hub: one per process and event loop. Rooms with local members, fan-out, presence, limits."""
