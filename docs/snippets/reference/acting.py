from datetime import timedelta

from taskworks import control

last_night = {"task": "shop.payments.charge", "error": "ValueError", "since": timedelta(hours=12)}
seen = control.preview_runs("retry", **last_night)
print(seen.count_in_words, seen.by_error)

done = control.retry_runs(**last_night, by="the bank is back")
print(done.done, done.not_applicable, done.reason)

result = control.act_in_background("cancel", queue="newsletter", arguments={"issue": 17})
