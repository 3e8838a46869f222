import logging
import time

from django.apps import AppConfig
from django.db.backends.signals import connection_created

logger = logging.getLogger("tests.support.query_log")


# As of a database across the network that has much to do.
ANSWER_SECONDS = 0.02


class QueryLogConfig(AppConfig):
    name = "tests.support.query_log"

    def ready(self):
        connection_created.connect(_log_queries, dispatch_uid="tests.support.query_log")


def _log_queries(connection, **kwargs):
    if _log not in connection.execute_wrappers:
        connection.execute_wrappers.append(_log)


def _log(execute, sql, params, many, context):
    logger.info("query: %s", sql.split(maxsplit=1)[0])
    time.sleep(ANSWER_SECONDS)
    return execute(sql, params, many, context)
