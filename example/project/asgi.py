import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

# In production, static files are served by a web server or a CDN.
application = ASGIStaticFilesHandler(get_asgi_application())
