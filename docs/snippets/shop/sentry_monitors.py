import sentry_sdk
from taskworks.sentry import TaskworksIntegration

sentry_sdk.init(
    dsn="https://key@sentry.example.com/1",
    integrations=[
        TaskworksIntegration(
            monitors={"count at night": {"checkin_margin": 5, "max_runtime": 30}},
        )
    ],
)
