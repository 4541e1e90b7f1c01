from taskworks.typed import TypedTask, api_task
from taskworks.typed.params import IntParameter, StringParameter


@api_task
class PrintCatalogue(TypedTask):
    """Print the catalogue of a season."""

    name = "print_catalogue"
    inputs = {
        "season": StringParameter(min_length=1),
        "pages": IntParameter(default=4, min_value=1, max_value=400),
    }
    outputs = {"file": StringParameter()}

    def run(self, season, pages):
        self.set_target(pages)
        for page in range(1, pages + 1):
            self.add_message(f"Page {page}")
            self.inc_progress()
        return f"{season}.pdf"
