LOGGING = {
    "version": 1,
    "filters": {"correlation": {"()": "taskworks.correlation.CorrelationFilter"}},
    "formatters": {"line": {"format": "%(levelname)s [%(correlation_id)s] %(message)s"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["correlation"],
        },
    },
    "root": {"handlers": ["console"], "level": "INFO"},
}
