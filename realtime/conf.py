"""The settings of this app: the dict `REALTIME`, each key with a default."""

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeSettings:
    """Every key of `REALTIME` with its default."""

    AUTHENTICATOR: str = "realtime.authentication.SimpleJWTAuthenticator"
    USER_INFO: str = "realtime.authentication.user_info"
    USER_LABEL: str = "realtime.authentication.user_label"
    SERVER_ROOMS: str = ""
    CREDENTIALS: tuple[str, ...] = ("subprotocol", "header", "connect", "ticket", "session")
    COOKIE_NAME: str = "access_token"
    UNKNOWN_USERS: str = "refuse"
    AUTHORIZED_PARTIES: tuple[str, ...] = ()
    SCOPES: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ALLOWED_ORIGINS: tuple[str, ...] = ()
    ALLOW_ANONYMOUS: bool = False
    CHANNEL_LAYER: str = "default"
    PATH: str = "ws/"
    SOCKETIO_EVENTS: dict[str, str] = field(default_factory=dict)
    SOCKETIO_NAMESPACES: tuple[str, ...] = ()

    COALESCE_SECONDS: float = 0.005
    CONNECT_SECONDS: float = 10
    PING_SECONDS: float = 25
    PONG_SECONDS: float = 8
    EXPIRY_GRACE_SECONDS: float = 25
    CLOSE_SECONDS: float = 10
    DRAIN_SECONDS: float = 10
    RIGHTS_SECONDS: float = 4
    HOOK_SECONDS: float = 30
    TICKET_TTL_SECONDS: int = 30
    IDEMPOTENCY_TTL_SECONDS: int = 300
    PRESENCE_TTL_SECONDS: float = 60
    PRESENCE_LEAVE_SECONDS: float = 3
    POSITION_CHECK_SECONDS: float = 25
    RECHECK_SECONDS: float = 60
    PROCESS_TTL_SECONDS: float = 15

    MESSAGE_MAX_BYTES: int = 65_536
    MESSAGE_MAX_LEVELS: int = 100
    FRAME_MAX_BYTES: int = 1_048_576
    OUTBOX_MAX_BYTES: int = 1_048_576
    TOKEN_MAX_BYTES: int = 8_192
    ROOMS_PER_CONNECTION: int = 128
    RECOVERY_MAX_MESSAGES: int = 300
    RECOVERY_MAX_BYTES: int = 524_288
    PRESENCE_MAX_CLIENTS: int = 2_000
    CONNECTIONS_PER_USER: int = 100
    UNAUTHENTICATED_PER_ADDRESS: int = 500
    COMMANDS_PER_SECOND: float = 100
    COMMANDS_BURST: int = 500
    BYTES_PER_SECOND: float = 524_288
    BYTES_BURST: int = 524_288
    ERRORS_IN_A_ROW: int = 10
    DATABASE_THREADS: int = 4
    HOOK_THREADS: int = 4
    METRICS_TOKEN: str = ""
    COLLECTOR_THRESHOLD: int = 10_000


CREDENTIALS = ("subprotocol", "header", "connect", "ticket", "cookie", "session", "query")
KEYS = {each.name: each for each in fields(RealtimeSettings)}


def default(key: str) -> Any:
    """Return the default of a setting."""
    factory = KEYS[key].default_factory
    return KEYS[key].default if factory is MISSING else factory()


class _CurrentSettings:
    """Caches `settings.REALTIME`, and reads it again if a test overrides it."""

    def __getattr__(self, name: str) -> Any:
        # Plain attributes from now on, because every message needs some of them.
        self.__dict__.update({key: getattr(_from_django(), key) for key in KEYS})
        if name not in KEYS:
            raise AttributeError(f"REALTIME has no key {name!r}")
        return self.__dict__[name]

    def reload(self, *, setting: str, **kwargs: Any) -> None:
        if setting == "REALTIME":
            self.__dict__.clear()


def _from_django() -> RealtimeSettings:
    # The system checks report unknown keys and wrong types.
    configured = getattr(settings, "REALTIME", {})
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | set) else value
        for key, value in (configured.items() if isinstance(configured, dict) else ())
        if key in KEYS
    }
    return RealtimeSettings(**known)


realtime_settings = _CurrentSettings()
setting_changed.connect(realtime_settings.reload)
