"""Measures what hostile clients cost the server, and what everybody else notices of them."""
