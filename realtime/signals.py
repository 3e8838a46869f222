"""The signals that a site can connect to."""

from django.dispatch import Signal

publish_failed = Signal()
"""Sent after a message could not be published and no exception was raised for it, with `room`,
`error` and `idempotency_key`. The message may have arrived all the same. A receiver that publishes
it again needs the same key, so that nobody gets it twice."""
