from taskworks.schedules import Schedule, task_with_callable, taskinfo_with_label

from shop.with_message import Stock, count

task = task_with_callable(count, label="count", schedule="*/5 * * * *", userdata={"count": 6})
task.save()

task_with_callable("shop.with_message.Stock.order", userdata={"item": "tea"}).save()

thrice = Schedule.run_iterations(count, iterations=3, run_immediately=True)
print(thrice.fired, thrice.iterations)

Schedule.run_once(Stock.order, userdata={"item": "ink"})

print(taskinfo_with_label("count")["func_path"])
