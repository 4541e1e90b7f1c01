TASKWORKS = {
    "LIMITS": {
        "imports": {"by": "tenant", "at_once": 2, "total": 20},
        "mailer": {"at_once": 5},
    },
}
