"""What an identity takes from the claims of a token."""

import pytest
from django.contrib.auth import get_user_model

from realtime.authentication.identity import identity_from_claims


@pytest.mark.parametrize("claims", [{}, {"sid": None}, {"sid": ""}], ids=["none", "null", "empty"])
def test_a_token_without_a_sign_in_shares_none_with_others(claims):
    identity = identity_from_claims(get_user_model()(pk=1), {"exp": 1, **claims})
    assert identity.session_id == ""
