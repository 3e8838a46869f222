"""An app that makes the database slow, and writes a line for each query that it is asked."""
