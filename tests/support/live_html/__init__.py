"""Pages whose HTML is live: a shop window, under a strict Content-Security-Policy."""
