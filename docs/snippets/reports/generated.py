import time

from tasks_client.api.taskworks import taskworks_retrieve, taskworks_start
from tasks_client.models import (
    TaskworksMonthlyReportInputs,
    TaskworksStartMonthlyReport,
    TaskworksStatus,
)

UNFINISHED = (TaskworksStatus.PENDING, TaskworksStatus.RUNNING)


def report(client, month, shops):
    inputs = TaskworksMonthlyReportInputs(month=month, shops=shops)
    body = TaskworksStartMonthlyReport(task="monthly-report", inputs=inputs)
    run = taskworks_start.sync(client=client, body=body)
    while run.status in UNFINISHED:
        time.sleep(1)
        run = taskworks_retrieve.sync(run.id, client=client)
    return run.outputs["title"]
