"""A user and the credential that the tests of the endpoints send."""

import pytest
from rest_framework_simplejwt.tokens import AccessToken


@pytest.fixture
def bearer(alice):
    """`client.get(url, **bearer(scope="..."))`: a token of alice, with these claims."""

    def _bearer(**claims):
        token = AccessToken.for_user(alice)
        for name, value in claims.items():
            token[name] = value
        return {"headers": {"Authorization": f"Bearer {token}"}}

    return _bearer
