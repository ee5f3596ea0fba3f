"""Pictures in object storage: what names them, which may be asked for, and the address by which they are.

What belongs here: URLs of buckets, and signing them. What does not: asking (`fetching`), where fetched pictures are kept (`picture_cache`).

A catalogue is a stranger's, and who runs this may read more buckets than are meant: only those places are asked that somebody named, by
`--pictures` or `fetch_hosts`. An object is asked for by a signed address, so that whoever fetches from hosts does it in the same way: one
request for a picture, on condition that it has changed where it was had before.
"""

import re
from collections.abc import Sequence
from typing import Any

from fashion_assets.sources.source import SourceError

_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/|$)")
"""As S3 lets buckets be called."""

_BEGINS = re.compile(r"(?i)s3://")


def in_bucket(stated: str) -> bool:
    """Whether a place or a picture is stated as one in a bucket."""
    return _BEGINS.match(stated) is not None


def bucket_of(url: str) -> str | None:
    """The bucket's name; None where it cannot be one."""
    found = _BUCKET.match(url)
    return found.group(1) if found else None


def placed_in_bucket(place: str) -> str:
    """A place of pictures that somebody names, without what does not matter. Raises `SourceError` where it is none."""
    bare = place.strip().rstrip("/")
    if bucket_of(bare) is None or not is_plain(bare):
        raise SourceError(
            f"{place!r} is no place in a bucket: it looks like s3://BUCKET or s3://BUCKET/FOLDER."
        )
    return bare


def is_plain(url: str) -> bool:
    """Whether it has no step that leads elsewhere, nor what no address has."""
    return not {".", ".."} & set(url.split("/")) and url.isprintable()


def below(place: str, stated: str) -> str:
    """The URL of a picture that a listing states as a path, in a place of pictures. A folder that is the place's last and the path's first
    counts once, as whoever names a folder of pictures means it."""
    relative = stated.replace("\\", "/")
    while relative.startswith(("./", "/")):
        relative = relative.lstrip("/").removeprefix("./")
    last = place.split("://")[1].partition("/")[2].rpartition("/")[2]
    return f"{place}/{relative.removeprefix(f'{last}/') if last else relative}"


def may_ask(url: str, places: Sequence[str]) -> bool:
    """Whether a picture lies in one of the places that were named (`placed_in_bucket`)."""
    return is_plain(url) and any(url.startswith(f"{place}/") for place in places)


class Signing:
    """Whose keys are in the environment: signs for whoever asks a bucket for pictures. Nothing is asked here."""

    def __init__(self, places: Sequence[str], seconds: float):
        """`seconds`: for which an address holds. Raises `SourceError` where nothing here can sign."""
        self._seconds = int(seconds) + 1
        try:
            import s3fs

            # Left to itself the client signs in the former way, which newer regions refuse, and for a host that redirects to the region's, for
            # which the signature does not hold. With the bucket in the path, other makers' stores and names with dots are asked alike.
            how = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}}
            self._storage: Any = s3fs.S3FileSystem(config_kwargs=how)
            self.signed(f"{places[0]}/picture")
        except ImportError as error:
            raise SourceError(
                f"Pictures are in a bucket ({places[0]}), and what speaks to it is not installed: pip install 'fashion-assets[s3]'."
            ) from error
        except Exception as error:  # the client has errors of its own, of no common kind
            said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise SourceError(
                f"The pictures in {places[0]} cannot be asked for: {said}. Keys and endpoint come from the environment (AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL), or are the machine's role."
            ) from error

    def signed(self, url: str) -> str:
        """The address by which an object is asked for."""
        return self._storage.sign(url.partition("://")[2], expiration=self._seconds)
