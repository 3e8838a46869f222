"""The contract of usage, on both layers."""


async def test_usage_of_users_is_added(layer):
    assert await layer.add_usage({"1": 10, "2": 1}) == {"1": 10, "2": 1}
    assert await layer.add_usage({"1": 5}) == {"1": 15}
