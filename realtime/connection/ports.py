"""What a session writes to, whatever brings it to the client."""

from typing import Protocol

from ..codes import CloseCode


class Transport(Protocol):
    """No method waits."""

    @property
    def is_congested(self) -> bool:
        """Whether so much is unsent that nothing large should be added."""
        ...

    @property
    def unsent_bytes(self) -> int: ...

    def write(self, frame: str) -> None: ...
    def write_along(self, frame: str) -> None:
        """Write it in one piece with the next frame, or with `flush`, whichever comes first."""
        ...

    def flush(self) -> None: ...
    def acknowledge(self) -> None:
        """The client has read everything up to a ping that it answers now."""
        ...

    def close(self, code: CloseCode, reason: str) -> None: ...
