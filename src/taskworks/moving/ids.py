"""The ids of runs that were jobs of RQ."""

from uuid import UUID, uuid5

JOBS = UUID("3b0dd96f-14e7-4f7b-8a5b-5ad3a0d2c7f1")  # a namespace of our own


def run_id_of_job(job_id: str) -> UUID:
    """
    Return the id that a job of RQ has as a run of Taskworks. It is always the same for a job, so
    that you can replace ids that you have stored.
    """
    return uuid5(JOBS, job_id)
