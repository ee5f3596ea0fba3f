"""Figures of an installation for Prometheus, without a server that is scraped.

What belongs here: the command. What does not: the figures (`serving.figures`), how requests go, which the server tells (`serving.metrics`).
"""

import sys

from fashion_assets.cli.app import Home, app, existing_installation


@app.command()
def metrics(home: Home = None) -> None:
    """Print what is known of the installation in Prometheus' text format: for the node exporter's folder of text files, where no search
    API is scraped. How requests go only the API itself tells, at /metrics."""
    from fashion_assets.postgres.connections import connect
    from fashion_assets.serving import figures
    from fashion_assets.serving.metrics import of_installation

    settings = existing_installation()
    with connect(settings) as conn:
        read = list(figures.read(conn))
    sys.stdout.write(of_installation(read).decode())
