"""What `realtime init` writes."""

from realtime.management import site_setup


def test_the_prefix_in_the_comment_is_the_name_of_the_project(settings):
    settings.ROOT_URLCONF = "site1.urls"
    assert '"prefix": "site1"}' in site_setup._layers()
