"""`manage.py realtime doctor`: looks at the settings, Redis, the databases and the processes."""

from .examination import examine
from .remarks import LEVELS, Remark
from .report import report

__all__ = ["LEVELS", "Remark", "examine", "report"]
