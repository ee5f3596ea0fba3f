"""Whether an installation's embedded server runs, as its socket tells."""

from fashion_assets.postgres import embedded, server
from fashion_assets.settings import Settings


def is_running(settings: Settings) -> bool:
    """Whether the embedded server answers; never starts it."""
    return embedded.ready_socket(server._resolved(settings.postgres_data)) is not None
