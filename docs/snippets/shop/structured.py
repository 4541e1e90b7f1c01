import structlog
from taskworks.correlation import add_run

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        add_run,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ]
)
