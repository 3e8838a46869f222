"""An app whose hooks take their time.

Tests do not import its `realtime` module: that would register its rooms in their process.
"""

HUNG_SECONDS = 60
