"""The scripts of the page, and the Content-Security-Policy that lets only them run."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from django.templatetags.static import static
from django.utils.safestring import SafeString, mark_safe

FOLDER = Path(__file__).parent / "static" / "realtime" / "playground"
ENTRY = "realtime/playground/playground.js"
CLIENT = "realtime/client.js"


def import_map() -> SafeString:
    """Return the text of the import map of the page, "" if it needs none.

    The modules import each other by their plain names. Storages that put a hash into file names
    rewrite no imports, and some keep only the hashed files.
    """
    entry = static(ENTRY)
    named = {f"./{path.name}": f"realtime/playground/{path.name}" for path in FOLDER.glob("*.js")}
    named["../client.js"] = CLIENT
    imports = {urljoin(entry, plain): static(name) for plain, name in sorted(named.items())}
    renamed = {plain: hashed for plain, hashed in imports.items() if plain != hashed}
    if not renamed:
        return SafeString("")
    text = json.dumps({"imports": renamed}).replace("<", "\\u003c")
    return mark_safe(text)  # nothing in it can end the script element


def content_security_policy(inline: str) -> str:
    """Return the policy: scripts and styles of the site alone, and the one `inline` script."""
    files = urlsplit(static(CLIENT))
    own = f"'self' {files.scheme or 'https'}://{files.netloc}" if files.netloc else "'self'"
    digest = b64encode(sha256(inline.encode()).digest()).decode()
    scripts = f"{own} 'sha256-{digest}'" if inline else own
    return (
        f"default-src 'none'; script-src {scripts}; style-src {own}; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
