import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

# A site of its own would have its static files served by the web server before it.
application = ASGIStaticFilesHandler(get_asgi_application())
