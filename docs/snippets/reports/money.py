from decimal import Decimal

from taskworks.typed import Parameter, TypedTask


class MoneyParameter(Parameter):
    schema = {"type": "string", "pattern": r"^\d+\.\d\d EUR$"}

    def to_python(self, value):
        amount, _, currency = str(value).partition(" ")
        if currency != "EUR" or not amount.replace(".", "").isdigit():
            raise ValueError("Enter an amount in EUR, such as '1.50 EUR'.")
        return Decimal(amount)

    def to_json(self, value):
        return f"{value:.2f} EUR"


class Refund(TypedTask):
    inputs = {"amount": MoneyParameter()}
    outputs = {"refunded": MoneyParameter()}

    def run(self, amount):
        return amount
