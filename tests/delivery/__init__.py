"""Is anything lost? Members and publishers on two server processes, while parts of it are killed.

`python -m tests.delivery` runs it with 10,000 messages and prints what was lost, out of order or
doubled; `--peer tutorial` does the same to the chat consumer of the Channels tutorial.
"""
