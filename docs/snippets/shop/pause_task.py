from datetime import timedelta

from taskworks.control import pause, pauses, resume

from shop.newsletter import write_to

pause(task=write_to, until=timedelta(hours=2), reason="It writes nonsense.", by="anna")
pause(limit="imports", key="acme", reason="They have not paid.")
for paused in pauses():
    print(f"The {paused} is {paused.in_words}")

resume(task="shop.newsletter.write_to")
resume(limit="imports", key="acme")
