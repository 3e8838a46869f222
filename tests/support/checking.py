"""What the tests of the system checks share."""


def ids(messages):
    return [message.id for message in messages]
