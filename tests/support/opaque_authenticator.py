"""An authenticator as a site with django-allauth would write it: session tokens, not JWTs."""

import time

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from realtime.authentication import Identity, django_sign_in
from realtime.exceptions import AuthenticationError


class SessionTokenAuthenticator:
    """The token is the key of a Django session. Two more tokens show what goes wrong."""

    def authenticate(self, raw_token: str) -> Identity:
        if raw_token.startswith("hang"):
            time.sleep(3)
        if raw_token.startswith("broken"):
            raise RuntimeError(f"the store does not know {raw_token}")
        session = Session.objects.filter(session_key=raw_token).first()
        if session is None:
            raise AuthenticationError("unknown token")
        if session.expire_date < timezone.now():
            raise AuthenticationError("the session has ended", expired=True)
        user = User.objects.get(pk=session.get_decoded()[SESSION_KEY])
        return Identity(user, session_id=django_sign_in(raw_token))
