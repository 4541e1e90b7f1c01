TASKWORKS = {"NOTIFY": False, "WAKEUP": "redis://127.0.0.1:6379/0"}
