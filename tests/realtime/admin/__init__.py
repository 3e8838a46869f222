"""The live console of the admin."""
