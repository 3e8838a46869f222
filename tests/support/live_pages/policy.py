"""A strict Content-Security-Policy, with a nonce as django-csp gives it."""

import secrets


def policy(get_response):
    def respond(request):
        request.csp_nonce = secrets.token_urlsafe(16)
        response = get_response(request)
        response.setdefault(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'nonce-{request.csp_nonce}'; connect-src 'self'; "
            "img-src data:; form-action 'self'; base-uri 'none'",
        )
        return response

    return respond
