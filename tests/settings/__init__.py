"""Settings modules of the tests: `base`, and what some tests change in it."""
