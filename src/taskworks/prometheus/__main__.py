"""
Print a file that comes with the metrics: ``python -m taskworks.prometheus dashboard`` for Grafana,
or ``alerts`` for Prometheus.
"""

import argparse
import sys
from importlib import resources

FILES = {"dashboard": "dashboard.json", "alerts": "alerts.yml"}


def main() -> None:
    """Print one of the FILES."""
    parser = argparse.ArgumentParser(
        prog="python -m taskworks.prometheus",
        description="Print the Grafana dashboard, or alert rules for Prometheus.",
    )
    parser.add_argument("file", choices=FILES)
    name = FILES[parser.parse_args().file]
    sys.stdout.write(resources.files("taskworks.prometheus").joinpath(name).read_text("utf-8"))


if __name__ == "__main__":
    main()
