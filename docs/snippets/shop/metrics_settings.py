import os

TASKWORKS = {
    # ...
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
}
