import json
import logging

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


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in EXTRAS if (value := getattr(record, name, "-")) != "-"}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
