import sentry_sdk
from taskworks.sentry import TaskworksIntegration

sentry_sdk.init(
    dsn="https://key@sentry.example.com/1",
    traces_sample_rate=0.1,
    integrations=[TaskworksIntegration()],
)
