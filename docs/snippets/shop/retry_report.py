from taskworks import Workflow


def retry_report(workflow_id: str) -> int:
    result = Workflow.get_result(workflow_id)
    if result.status == "failed":
        return result.retry()
    return 0


def write_report_again(workflow_id: str) -> int:
    result = Workflow.get_result(workflow_id)
    return result.retry(from_="report", again=True)
