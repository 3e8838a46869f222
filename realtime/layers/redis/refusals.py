"""What Redis refuses: its words and the cure, for the log and for the caller."""

from __future__ import annotations

import logging
import ssl

from ...exceptions import LayerUnavailable
from ...metrics import metrics
from ...sparse_log import SparseLogs

CURES = {
    "NOPERM": "Give the account the rights that `manage.py realtime redis-acl` prints",
    "NOAUTH": "Redis wants a password: put it into the URL of the host",
    "WRONGPASS": "The username or the password in the URL of the host is wrong, or the user is off",
    "OOM": "Redis is out of memory: raise its maxmemory, or keep less history",
    "READONLY": "This Redis is a replica: name the master in `hosts`, or its Sentinels",
    "NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write: bring them back",
    "MOVED": "This Redis is a node of a Cluster, which is not supported: use single nodes, of which"
    " `hosts` can list several",
    "LOADING": "Redis is reading its data from disk: wait until it is ready",
    "MISCONF": "Redis can't write its data to disk: free space or permissions on its machine",
    "MASTERDOWN": "This Redis is a replica without its master: name the master in `hosts`",
    "WRONGTYPE": "Another program has written to a key of the layer: give each program a prefix of"
    " its own",
    "ERR": "See the log of Redis, and whether its version is 6.2 or newer",
}
_HEALED_BY_A_NEW_CONNECTION = {"NOAUTH", "WRONGPASS", "READONLY", "LOADING", "MASTERDOWN"}
_KINDS_OF_CLASSES = {
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "WRONGPASS",
    "AuthenticationWrongNumberOfArgsError": "WRONGPASS",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "MovedError": "MOVED",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
}
_WITHOUT_PASSWORD = (
    "Authentication required",
    "must be called with the client already authenticated",
    "unauthenticated multibulk length",
)
_IN_A_SCRIPT = "ACL failure in script: "
"""Redis 7.2 and newer, and Valkey, put this before what the ACL refuses to a script."""
_IN_A_TRANSACTION = "Transaction discarded because of: "
_MOST_CHARACTERS = 200

_log = SparseLogs(logging.getLogger("realtime.layers.redis"))


class Refused(LayerUnavailable):
    """Redis has answered, with an error. `kind` is its first word, such as NOPERM."""

    def __init__(self, kind: str, words: str) -> None:
        cure = CURES.get(kind, CURES["ERR"])
        super().__init__(f"Redis refuses: {kind} {words}. {cure}.")
        self.kind = kind
        self.words = words

    @property
    def needs_new_connection(self) -> bool:
        """Whether a new connection may succeed: after a fail-over, or with a new password."""
        return self.kind in _HEALED_BY_A_NEW_CONNECTION

    @property
    def is_about_data(self) -> bool:
        """Whether the keys hold what this layer has not written."""
        return self.kind == "WRONGTYPE" or (
            self.kind == "ERR" and ("user_script" in self.words or "not a" in self.words)
        )


def refusal(error: BaseException) -> Refused | None:
    """Return what Redis has refused, or None if `error` is no answer of Redis."""
    known = _KINDS_OF_CLASSES.get(type(error).__name__)
    text = str(error)
    if known is None:
        if type(error).__name__ not in ("ResponseError", "ExecAbortError"):
            cause = error.__context__
            return None if cause is None or cause is error else refusal(cause)
        text = text.removeprefix("ERR ")  # redis-py leaves ERR out
        text = text.removeprefix(_IN_A_TRANSACTION)
        first, _, rest = text.partition(" ")
        if text.startswith(_IN_A_SCRIPT):
            known, text = "NOPERM", text.removeprefix(_IN_A_SCRIPT)
        else:
            known, text = (first, rest) if first.isupper() else ("ERR", text)
    elif text.partition(" ")[0] == known:
        text = text.partition(" ")[2]
    if any(words in text for words in _WITHOUT_PASSWORD):
        known, text = "NOAUTH", "Authentication required"
    if "user executing the script can't" in text:  # Redis 7.0
        known = "NOPERM"
    return Refused(known, _shown(text))


def no_answer(address: str = "") -> str:
    """The sentence about a Redis that can't be reached, or is too slow."""
    place = f" at {address}" if address else ""
    return f"Redis does not answer{place}. Start it, or correct CHANNEL_LAYERS."


def unreachable(error: BaseException, address: str) -> str:
    """The sentence about a Redis that `error` keeps from answering."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return no_answer(address)
    if isinstance(seen, ssl.SSLCertVerificationError):
        return (
            f"The certificate of Redis at {address} is not accepted: {seen.verify_message}. Name "
            "the authority that signed it (`ssl_ca_certs` of the host), or the host as it does."
        )
    return (
        f"Redis at {address} refuses TLS ({seen.reason}). It may want a certificate of ours "
        "(`ssl_certfile` and `ssl_keyfile` of the host), or speak none: redis:// is without TLS."
    )


def report(error: BaseException, address: str = "") -> LayerUnavailable:
    """Return the error for the caller. A refusal is logged, once a minute for each kind."""
    refused = refusal(error)
    if refused is None:
        metrics.redis_refused["no answer"] += 1
        return LayerUnavailable(unreachable(error, address))
    metrics.redis_refused[refused.kind if refused.kind in CURES else "other"] += 1
    if not refused.is_about_data:  # of those, the parts report which room is concerned
        _log.warning(refused.kind, "%s", refused)
    return refused


def _shown(text: str) -> str:
    """The words of Redis, without the arguments of the command, which may be secret."""
    text, _, place = text.partition(" script: ")
    text = text.partition(", with args")[0]
    if "attempt to" in text:
        text += f" ({place})"
    return "".join(each for each in text if each.isprintable())[:_MOST_CHARACTERS].rstrip(".")
