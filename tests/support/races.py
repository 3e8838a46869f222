"""Helpers that force an order of events, and the commands of a session."""

import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from tests.support.sessions import call


class Gate:
    """Holds what comes to it until it is opened."""

    def __init__(self):
        self.reached = asyncio.Event()
        self._open = asyncio.Event()

    def open(self):
        self._open.set()

    async def wait(self):
        self.reached.set()
        await self._open.wait()


def is_refused(reply):
    return reply["error"]["code"] == 103


async def join(session, **options):
    return await call(session, subscribe={"channel": "staff", **options})


def save(instance, **fields):
    for name, value in fields.items():
        setattr(instance, name, value)
    instance.save()


async def bob():
    return await sync_to_async(User.objects.create_user)("bob")
