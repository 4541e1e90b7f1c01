from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import DateParameter, IntParameter, ListParameter, StringParameter


@api_task
class MonthlyReport(TypedTask):
    """A report on the sales of one month."""

    name = "monthly-report"
    timeout = 600

    inputs = {
        "month": DateParameter(help_text="Any day of it"),
        "shops": ListParameter(StringParameter(max_length=40), max_length=50),
        "top": IntParameter(default=10, min_value=1, max_value=100, label="How many products"),
    }
    outputs = {"title": StringParameter(), "pages": IntParameter()}

    def run(self, month, shops, top):
        self.set_target(len(shops))
        for shop in shops:
            self.add_message(f"{shop}: the {top} best")
            self.inc_progress()
        return {"title": f"{month:%B %Y}", "pages": len(shops)}
