"""Live HTML: fragments that the server renders, and the pages swap in."""
