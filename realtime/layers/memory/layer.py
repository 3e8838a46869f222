"""The room layer for one process: it needs no server, and does not reach other processes."""

from .changes import MemoryChanges
from .connections import MemoryConnections
from .orders import MemoryOrders
from .presence import MemoryPresence
from .streams import MemoryStreams
from .tickets import MemoryTickets
from .usage import MemoryUsage


class MemoryRoomLayer(
    MemoryPresence,
    MemoryConnections,
    MemoryTickets,
    MemoryChanges,
    MemoryUsage,
    MemoryStreams,
    MemoryOrders,
):
    """Rooms within one process. Safe to use from all its threads and event loops.

    All parts share the lock of the groups. The methods are described in `realtime.layers.base`.
    """
