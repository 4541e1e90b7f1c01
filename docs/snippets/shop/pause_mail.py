from datetime import timedelta

from taskworks.control import pause, pauses, resume

pause("mail", until=timedelta(hours=2), reason="The provider is down.", by="anna")
for paused in pauses():
    print(paused.name, paused.by, paused.reason)

print(resume("mail"), resume("mail"))
