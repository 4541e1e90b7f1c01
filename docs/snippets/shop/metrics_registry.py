from prometheus_client import REGISTRY
from taskworks.prometheus import TaskworksCollector

REGISTRY.register(TaskworksCollector())
