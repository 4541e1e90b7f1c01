"""The day is closed when the sales of all regions are summed up."""

from taskworks import Workflow
from webshop.tasks import close_the_day, sum_up_sales

REGIONS = ("north", "east", "south", "west")


def closing() -> Workflow:
    flow = Workflow("close the day")
    regions = flow.each("regions", sum_up_sales, [{"region": region} for region in REGIONS])
    flow.add("total", close_the_day, after=regions)
    return flow
