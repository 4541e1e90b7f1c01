TASKWORKS = {
    "LIMITS": {
        "mailer": {"rate": "100/m", "burst": 10},
        "reports": {"by": "tenant", "at_once": 2, "rate": "20/h", "total_rate": "500/d"},
    },
}
