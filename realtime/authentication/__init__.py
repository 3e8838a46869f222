"""Authentication: turns a credential into a Django user, with SimpleJWT or the site's own class."""

from .django_sessions import django_sign_in as django_sign_in
from .identity import ANONYMOUS as ANONYMOUS
from .identity import Identity as Identity
from .profiles import user_info as user_info
from .profiles import user_label as user_label
from .simplejwt import SimpleJWTAuthenticator as SimpleJWTAuthenticator
