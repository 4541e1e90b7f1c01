"""Settings of an app that read the address of its broker, whose password has a slash."""

from urllib.parse import urlsplit

broker_url = "amqp://me:hunter2/x@127.0.0.1//"
broker_port = urlsplit(broker_url).port
