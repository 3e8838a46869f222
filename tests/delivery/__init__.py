"""The delivery check: whether messages are lost while servers and Redis are killed.

Members and publishers use two server processes. `python -m tests.delivery` sends 10,000 messages
and prints how many were lost, out of order or doubled; `--peer tutorial` does the same with the
chat consumer of the Channels tutorial.
"""
