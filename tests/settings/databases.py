"""As the tests' settings, on the server of DATABASE_URL."""

import pymysql

# Django looks for mysqlclient, which is built from C, and for this release of it.
pymysql.version_info = (2, 2, 1, "final", 0)
pymysql.install_as_MySQLdb()

from tests.settings.base import *  # noqa: E402, F403
from tests.settings.base import DATABASES  # noqa: E402

DATABASES["default"]["TEST"] = {}
