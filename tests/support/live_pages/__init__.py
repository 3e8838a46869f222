"""Pages of a site with sessions: a strict Content-Security-Policy, and the script of the tag."""
