"""The shapes of requests and answers, for the OpenAPI document: nothing is validated by them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class Problem(serializers.Serializer[Any]):
    """The body of each error."""

    detail = serializers.CharField(help_text="A sentence for people.")
    code = serializers.CharField(help_text="A word for programs, such as permission_denied.")
    error = serializers.IntegerField(
        required=False, help_text="The number of the same error on the socket."
    )


class Ticket(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class Token(serializers.Serializer[Any]):
    token = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class Rights(serializers.Serializer[Any]):
    join = serializers.BooleanField()
    publish = serializers.BooleanField()
    moderate = serializers.BooleanField()


class ListedRoom(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    access = serializers.CharField()
    rights = Rights()


class Rooms(serializers.Serializer[Any]):
    rooms = ListedRoom(many=True)


class Published(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    offset = serializers.IntegerField()


class NewMessage(serializers.Serializer[Any]):
    # `data` is an attribute of serializers.
    def get_fields(self) -> dict[str, Any]:
        return {
            "data": serializers.JSONField(help_text="Any JSON value."),
            "idempotency_key": serializers.CharField(
                required=False, max_length=200, help_text="A retry with it publishes nothing twice."
            ),
            "exclude": serializers.CharField(
                required=False, help_text="A connection of the user that does not get the message."
            ),
        }


class KeptMessage(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        return {
            "offset": serializers.IntegerField(),
            "data": serializers.JSONField(),
            "user": serializers.CharField(allow_null=True, help_text="Null for the server."),
            "info": serializers.JSONField(help_text="The public profile of the user."),
        }


class HistoryPage(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    offset = serializers.IntegerField()
    publications = KeptMessage(many=True)


class Person(serializers.Serializer[Any]):
    user = serializers.CharField()
    info = serializers.JSONField(help_text="The public profile of the user.")
    connections = serializers.IntegerField()


class Present(serializers.Serializer[Any]):
    clients = serializers.IntegerField()
    users = serializers.IntegerField()
    people = Person(many=True, required=False)
