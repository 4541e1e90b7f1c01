from taskworks.typed import TypedTask, api_task


@api_task
class ImportPrices(TypedTask):
    name = "import-prices"
    failure_message = "The prices could not be imported. Try again, or ask support@example.com."

    def run(self):
        raise ConnectionError("could not connect to prices.internal:5432 as user 'prices'")
