from taskworks import chain

from shop.sales import download, tidy_up

result = chain(download.step("2026-11-29"), tidy_up.step("2026-11-29")).enqueue()
print([step.name for step in result.steps()])
