"""What answers over HTTP: the Dagster UI behind a guard, and the pages an installation has of its own.

What belongs here: the web applications, who may ask them what, where a page is found, and the processes that answer. What
does not: what is in a page (`reports.report`), what Dagster shows (`defs`), how something is found (`search`).
"""

from fashion_assets.errors import FashionAssetsError


class UIError(FashionAssetsError):
    """The UI cannot start, or did not go on; the message says why and what to do."""
