"""An app whose hooks take their time.

Tests do not import its `realtime` module: that would register its rooms in the process of the tests.
"""

HUNG_SECONDS = 60
