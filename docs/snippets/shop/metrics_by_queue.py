TASKWORKS = {
    # ...
    "METRICS_TASK_LABEL": False,
}
