import os

SECRET_KEY = "of the shop"
USE_TZ = True
INSTALLED_APPS = [
    "django_rq",
    "shop",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DATABASE"]},
}
RQ_QUEUES = {
    "default": {"URL": os.environ["SHOP_REDIS"]},
    "mail": {"URL": os.environ["SHOP_REDIS"]},
}
