"""The parts of an explanation: rules, their verdicts, and the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class Verdict(TextChoices):
    """The answer of one rule. The last rule that was asked decides."""

    YES = "yes", gettext_lazy("yes")
    NO = "no", gettext_lazy("no")
    NO_DECISION = "no decision", gettext_lazy("no decision")
    NOT_ASKED = "not asked", gettext_lazy("not asked")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `name` is stable, for programs; `label` and `source` are text for people."""

    name: str
    verdict: Verdict = Verdict.NOT_ASKED
    source: str = ""
    part_of: str = ""
    """The name of the backend whose rule this is; "" for a rule that stands by itself."""

    @property
    def label(self) -> str:
        return str(_LABELS.get(self.name, self.name))


class Inquiry:
    """Asks the rules in order. Once a rule has decided, the others are not asked."""

    def __init__(self, user: Any, who: str, action: str) -> None:
        self.user = user
        self.who = who
        self.action = action
        self.permission = f"realtime.{action}_room"
        self.rules: list[Rule] = []
        self.allowed: bool | None = None
        """None while no rule has decided."""
        self.reason = ""

    def ask(self, name: str, rule: Callable[[], tuple[Verdict, str]]) -> None:
        self.rules.append(Rule(name, *rule()) if self.allowed is None else Rule(name))

    def allow(self, source: str) -> tuple[Verdict, str]:
        self.allowed, self.reason = True, source
        return Verdict.YES, source

    def refuse(self, source: str) -> tuple[Verdict, str]:
        self.allowed, self.reason = False, source
        return Verdict.NO, source


def path(thing: Any) -> str:
    """Return the dotted path of a class or function."""
    return f"{thing.__module__}.{thing.__qualname__}"


def answered(who: str, answer: object) -> str:
    """Return a sentence on what `who`, a function or backend of the site, returned."""
    if isinstance(answer, bool) or answer is None:
        return _("%(who)s returned %(answer)s") % {"who": who, "answer": answer}
    kind = type(answer).__name__
    return _("%(who)s returned a value of type %(kind)s") % {"who": who, "kind": kind}


def only_true(who: str, answer: object) -> tuple[Verdict, str]:
    """Return the verdict of a rule for which only True means yes."""
    source = answered(who, answer)
    if answer is True:
        return Verdict.YES, source
    if not answer:
        return Verdict.NO, source
    return Verdict.NO, _("%s, and only True counts as yes") % source


def raised(who: str, error: Exception) -> str:
    return _("%(who)s raised %(error)s") % {"who": who, "error": type(error).__name__}


_LABELS = {
    "user": gettext_lazy("user"),
    "name": gettext_lazy("name"),
    "room": gettext_lazy("room"),
    "join": gettext_lazy("may join"),
    "scopes": gettext_lazy("token's scopes"),
    "personal": gettext_lazy("personal room"),
    "superuser": gettext_lazy("superuser"),
    "active": gettext_lazy("active"),
    "membership": gettext_lazy("membership"),
    "groups": gettext_lazy("groups"),
    "access": gettext_lazy("access"),
    "publishing": gettext_lazy("publishing"),
    "permission": gettext_lazy("all rooms"),
    "time": gettext_lazy("time"),
}
