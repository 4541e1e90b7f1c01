from pathlib import Path

from sourcestats.measuring import ModuleMeasure, measure
from sourcestats.models import Survey
from sourcestats.summing import Summary, summarise
from taskworks import task


@task
def measure_module(source: str, path: str) -> ModuleMeasure:
    return measure(Path(source, path).read_bytes(), path)


# Somebody waits for the sum: it goes before the modules of the next survey.
@task(priority=10)
def sum_up(survey_id: int) -> Summary:
    measured = Survey.objects.get(pk=survey_id).runs().successful()
    return summarise([run.return_value for run in measured])
