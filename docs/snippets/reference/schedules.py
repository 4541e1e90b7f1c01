from datetime import timedelta

from taskworks.models import Schedule

nightly = Schedule(
    label="count at night",
    path="shop.tasks.count_words",
    args=["all the words of the day"],
    cron="30 2 * * *",
    timezone="Europe/Berlin",
    options={"queue_name": "default", "priority": 10},
    overlap="skip",
    catch_up="one",
)
nightly.save()

often = Schedule(label="count often", path="shop.tasks.count_words", args=["a word"])
often.interval = timedelta(minutes=10)
often.save()

print(nightly.in_words())
print(nightly.next_run == nightly.upcoming(10)[0])
