from taskworks.exceptions import InvalidInputs

from reports.tasks import MonthlyReport

result = MonthlyReport.enqueue(month="2026-05-01", shops=["Bonn", "Ulm"])

try:
    MonthlyReport.enqueue(month="May", shops=["Bonn"], top=1000, color="red")
except InvalidInputs as error:
    for name, reasons in sorted(error.errors.items()):
        print(name, reasons)
