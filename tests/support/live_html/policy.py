"""The strictest policy under which a page can have scripts: with a nonce, and Trusted Types, which
htmx does not know."""

import secrets


def policy(get_response):
    def respond(request):
        request.csp_nonce = secrets.token_urlsafe(16)
        response = get_response(request)
        types = "require-trusted-types-for 'script'; trusted-types realtime"
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{request.csp_nonce}'; connect-src 'self'; "
            "img-src data:; form-action 'self'; base-uri 'none'; "
            + ("" if "htmx" in request.GET else types)
        )
        return response

    return respond
