import json
import logging

from taskworks import current_context

EXTRAS = [
    "task_id",
    "task_path",
    "task_queue",
    "task_attempt",
    "task_duration",
    "task_worker",
    "task_state",
    "correlation_id",
]


class RunFilter(logging.Filter):
    """Give records of code that a task calls the id of the run."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = current_context()
        if context and not hasattr(record, "task_id"):
            record.task_id = context.task_result.id
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in EXTRAS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
