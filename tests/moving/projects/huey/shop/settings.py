import os

SECRET_KEY = "of the shop"
USE_TZ = True
INSTALLED_APPS = [
    "huey.contrib.djhuey",
    "shop",
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DATABASE"]},
}
HUEY = {
    "huey_class": "huey.PriorityRedisHuey",
    "name": os.environ["SHOP_NAME"],
    "url": os.environ["SHOP_REDIS"],
    "immediate": False,
    "consumer": {"workers": 2},
}
