"""What the sources of a release are held to: some criteria hold for one source and not for another.

What belongs here: the profiles of the registered sources, as criteria ask for them. What does not: profiles themselves
(`catalog.profile`), judging listings by them (`catalog.validation`).
"""

from collections.abc import Mapping

import psycopg

from fashion_assets.catalog.profile import Profile
from fashion_assets.settings import Settings
from fashion_assets.sources import SourceError, open_source
from fashion_assets.warehouse.sources import active_sources

_OWN = Profile()


def profiles(conn: psycopg.Connection, settings: Settings) -> dict[str, Profile]:
    """The profile of each active source, by its name. One that cannot be opened is held to a shop's own."""
    found = {}
    for entry in active_sources(conn):
        try:
            source = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
        except SourceError:
            found[entry.name] = _OWN
        else:
            found[entry.name] = source.profile
    return found


def is_a_shops_own(profile: Profile) -> bool:
    """Whether it asks of products at least what a shop knows of its own: that of a marketplace states what its sellers did."""
    return set(profile.critical) >= set(_OWN.critical)


def needed_by(held_to: Mapping[str, Profile]) -> dict[str, list[str]]:
    """Columns of `products` that no product of a source may lack, by source; those for whom there are none are left out."""
    columns = {
        source: [*profile.critical, *(["image_path"] if profile.picture == "required" else [])]
        for source, profile in held_to.items()
    }
    return {source: names for source, names in columns.items() if names}
