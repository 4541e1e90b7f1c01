"""The configuration of Sphinx, which builds the site: `make docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for the extension `names`, beside this file

project = "Taskworks"
author = "the authors of Taskworks"
version = release = version_of("django-taskworks")

extensions = ["myst_parser", "names"]
exclude_patterns = ["_build", "snippets", "**/*.py"]
root_doc = "index"

# A link to a heading is checked, and `page.md#some-heading` works as it does on GitHub.
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = f"Taskworks {release}"
html_baseurl = "https://django-taskworks.readthedocs.io/en/latest/"
# README.md shows pictures from here: their addresses stay the same.
html_static_path = ["pictures"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
