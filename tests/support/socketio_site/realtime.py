"""Calls that clients of Socket.IO emit."""

from realtime import publish, rooms


@rooms.rpc("double")
def double(user, data):
    return {"doubled": data * 2}


@rooms.rpc("same")
def same(user, data):
    return data


@rooms.rpc("say")
def say(user, data):
    """The site publishes: a payload of its own, and an event that it names."""
    publish("lobby", {"text": data})
    publish("lobby", {"event": "news", "args": [data, 1]})
