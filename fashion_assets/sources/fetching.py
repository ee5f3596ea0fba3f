"""Fetching the pictures that listings name by URL, into the cache.

What belongs here: what may be asked of whom, how often, and for how long. What does not: keeping pictures (`picture_cache`), which
listings have which (`mapped`), judging them (`catalog.pictures`), addresses of what is in buckets (`buckets`).

A catalogue is a stranger's: its URLs may name the machine this runs on, or its neighbours. So only http and https are asked, and only
addresses that are public, unless a host is named in the settings. Each address is looked at before a connection is made, and again
as it is made, for each redirect too: a name that resolves to another address the second time leads nowhere else.
"""

import asyncio
import hashlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
import stamina
from httpx_secure import SSRFProtectionError, httpx_ssrf_protection

from fashion_assets import __version__
from fashion_assets.catalog.formats.outlines import (
    IMAGE_FILE_TOO_LARGE,
    IMAGE_GONE,
    IMAGE_UNREACHABLE,
    IMAGE_URL_REFUSED,
)
from fashion_assets.settings import Settings
from fashion_assets.sources.buckets import Signing, bucket_of, in_bucket, may_ask, placed_in_bucket
from fashion_assets.sources.picture_cache import Held, PictureCache, Writer

# What passes by itself is nothing to tell; what does not is told once, in the figures.
stamina.instrumentation.set_on_retry_hooks(())

MAX_REDIRECTS = 5
LONGEST_URL = 4_096
AT_ONCE = 16
"""Pictures on their way at one time, over all hosts."""

ATTEMPTS = 4
LONGEST_PAUSE = 30.0
"""Seconds that are waited between two attempts, whatever a host asks for."""

CONNECTING = 10.0
"""Seconds in which a host must take a connection."""

GIVEN_UP_AFTER = 10
"""Pictures of a host that cannot be reached one after the other, after which no more of it are asked for in this run: a host that
is down would cost its time-out for each of its pictures."""

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_GONE = {404, 410}


@dataclass(frozen=True)
class Policy:
    """What may be asked, and for how long."""

    hosts: frozenset[str] = frozenset()
    """Hosts (`name` or `name:port`, lower case) that are asked even where their address is not public."""
    buckets: tuple[str, ...] = ()
    """Places in buckets that are asked for pictures."""
    seconds: float = 30.0
    """For one picture, redirects included."""
    max_bytes: int = 64 * 2**20
    per_host: int = 4
    """Pictures of one host on their way at one time."""
    again_after: float = 24 * 3600.0
    """Seconds after which a URL that was answered is asked whether it has changed."""

    @classmethod
    def from_settings(cls, settings: Settings, bucket: str | None = None) -> "Policy":
        """As the user has set it; `bucket`: where a source's pictures are, as somebody named it. Raises `SourceError` for a place that
        cannot be one."""
        named = [host.strip() for host in settings.fetch_hosts.split(",")]
        places = [placed_in_bucket(each) for each in named if in_bucket(each)]
        return cls(
            frozenset(each.lower() for each in named if each and not in_bucket(each)),
            tuple(places if bucket is None else [bucket, *places]),
            settings.fetch_seconds,
            settings.max_image_bytes,
            settings.fetch_per_host,
            settings.fetch_again_hours * 3600,
        )

    def names(self, host: str, port: int) -> bool:
        """Whether the host is named in the settings."""
        return host.lower() in self.hosts or f"{host.lower()}:{port}" in self.hosts


@dataclass
class Fetched:
    """What a fetch did."""

    asked: int = 0
    new: int = 0
    """Pictures that came."""
    unchanged: int = 0
    """Hosts said that they are as they were."""
    known: int = 0
    """Not asked for: they were had, or were asked for in vain, not long ago."""
    failed: Counter[str] = field(default_factory=Counter)
    """By reason."""
    bytes: int = 0
    given_up: set[str] = field(default_factory=set)
    """Hosts that could not be reached."""

    def __str__(self) -> str:
        parts = [f"{self.new:,} fetched", f"{self.unchanged:,} unchanged", f"{self.known:,} known"]
        parts += [f"{count:,} {reason}" for reason, count in sorted(self.failed.items())]
        if self.given_up:
            parts.append(f"given up: {', '.join(sorted(self.given_up))}")
        return f"pictures by URL: {', '.join(parts)}"


class _Refused(Exception):
    """A picture that is not to be had; asking again changes nothing."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason, self.said = reason, said


class _Answered(Exception):
    """A host's answer that is no picture, and may be one the next time."""

    def __init__(self, status: int, wait: float | None) -> None:
        super().__init__(f"the host answered {status}")
        self.status, self.wait = status, wait


def fetch(
    source: str,
    urls: Iterable[str],
    cache: PictureCache,
    policy: Policy,
    progress: Callable[[int], None] = lambda done: None,
) -> Fetched:
    """Fetch the pictures of a source's URLs that the cache lacks, or that were asked for too long ago; `progress` is told how many URLs
    are done. A picture that cannot be had is noted with its reason, and stops nothing; one that was had stays. What is killed goes on
    where it was. Memory does not grow with the URLs. Raises `SourceError` where buckets are to be asked and cannot be."""
    signing = Signing(policy.buckets, policy.seconds) if policy.buckets else None
    with cache.writing() as writer:
        writer.serve(source)
        return asyncio.run(_Fetch(cache, writer, policy, progress, signing).all(iter(urls)))


class _Fetch:
    """One fetch."""

    def __init__(
        self,
        cache: PictureCache,
        writer: Writer,
        policy: Policy,
        progress: Callable[[int], None],
        signing: Signing | None,
    ) -> None:
        self._cache, self._writer, self._policy, self._progress = cache, writer, policy, progress
        self._signing = signing
        self._done = 0
        self._fetched = Fetched()
        self._places: dict[str, asyncio.Semaphore] = {}
        self._unreachable: Counter[str] = Counter()
        self._underway: set[str] = set()

    async def all(self, urls: Iterator[str]) -> Fetched:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        # Pictures do not shrink; what is sent packed may be endless once unpacked, and nobody asked for it.
        headers = {
            "User-Agent": f"fashion-assets/{__version__}",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        }

        def client() -> httpx.AsyncClient:
            return httpx.AsyncClient(
                limits=limits,
                headers=headers,
                timeout=httpx.Timeout(self._policy.seconds, connect=min(CONNECTING, self._policy.seconds)),
                trust_env=False,  # a proxy would resolve names where nobody looks at the address
                follow_redirects=False,
            )

        async with client() as hosts, client() as storage:
            # What a bucket is asked by comes from the environment, and no catalogue can say where that leads.
            httpx_ssrf_protection(
                hosts, check_globally_reachable=False, custom_validator=self._may_connect, dns_cache_ttl=60
            )
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(self._some(hosts, storage, urls))
        return self._fetched

    async def _some(self, hosts: httpx.AsyncClient, storage: httpx.AsyncClient, urls: Iterator[str]) -> None:
        """Takes one URL after the other, until there are none."""
        for url in urls:
            await self._one(storage if in_bucket(url) else hosts, url)
            self._done += 1
            self._progress(self._done)

    async def _one(self, client: httpx.AsyncClient, url: str) -> None:
        if url in self._underway:
            return
        held = self._cache.find(url)
        if held is not None and self._is_fresh(held):
            self._fetched.known += 1
            return
        self._underway.add(url)
        try:
            await self._ask(client, url, held)
        except _Refused as refused:
            self._failed(url, refused.reason, refused.said, held)
        except SSRFProtectionError as error:
            self._failed(url, IMAGE_URL_REFUSED, str(error), held)
        except _Answered as answered:
            self._failed(url, IMAGE_UNREACHABLE, str(answered), held)
        except TimeoutError:
            self._failed(url, IMAGE_UNREACHABLE, f"not had within {self._policy.seconds:g} seconds", held)
            self._missed(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._failed(url, IMAGE_UNREACHABLE, str(error) or type(error).__name__, held)
            self._missed(url)
        finally:
            self._underway.discard(url)

    def _is_fresh(self, held: Held) -> bool:
        # What could not be reached may be there by now: it is asked for in every run.
        return held.reason != IMAGE_UNREACHABLE and time.time() - held.asked_at < self._policy.again_after

    def _failed(self, url: str, reason: str, said: str, held: Held | None) -> None:
        self._writer.failed(url, reason, said, held)
        self._fetched.failed[reason] += 1

    def _missed(self, url: str) -> None:
        host = urlsplit(url).hostname or ""
        self._unreachable[host] += 1
        if self._unreachable[host] >= GIVEN_UP_AFTER:
            self._fetched.given_up.add(host)

    async def _ask(self, client: httpx.AsyncClient, url: str, held: Held | None) -> None:
        host, _ = _parts(url)
        if len(self._places) > 10_000:  # a host for each picture: do not grow with the catalogue
            self._places = {host: place for host, place in self._places.items() if place.locked()}
            self._unreachable.clear()
        async with self._places.setdefault(host, asyncio.Semaphore(self._policy.per_host)):
            if host in self._fetched.given_up:
                raise _Refused(IMAGE_UNREACHABLE, "its host cannot be reached")
            self._fetched.asked += 1
            async for attempt in stamina.retry_context(
                on=_worth_another, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=LONGEST_PAUSE
            ):
                with attempt:
                    async with asyncio.timeout(self._policy.seconds):
                        await self._get(client, url, held)
        self._unreachable[host] = 0

    async def _get(self, client: httpx.AsyncClient, url: str, held: Held | None) -> None:
        asked = {}
        if held is not None and held.sha256 is not None:
            named = {"If-None-Match": held.etag, "If-Modified-Since": held.last_modified}
            asked = {header: value for header, value in named.items() if value}
        signed = self._signed(url) if in_bucket(url) else None
        if signed is not None and "If-None-Match" in asked:
            asked.pop(
                "If-Modified-Since", None
            )  # whole seconds, which an object store may go by although the content is another
        target = signed or url
        for _ in range(MAX_REDIRECTS + 1):
            if signed is None:
                await self._admit(target)
            async with client.stream("GET", target, headers=asked) as response:
                if response.next_request is not None:
                    if signed is not None:
                        raise _Refused(
                            IMAGE_UNREACHABLE, "its bucket is in another region: set AWS_DEFAULT_REGION"
                        )
                    target = str(response.next_request.url)
                    continue
                if response.status_code == httpx.codes.NOT_MODIFIED and held is not None:
                    self._writer.unchanged(url, held)
                    self._fetched.unchanged += 1
                    return
                _require_a_picture(response)
                await self._keep(url, response)
                return
        raise _Refused(IMAGE_GONE, f"more than {MAX_REDIRECTS} redirects")

    async def _keep(self, url: str, response: httpx.Response) -> None:
        most = self._policy.max_bytes
        stated = response.headers.get("Content-Length", "")
        if stated.isdecimal() and int(stated) > most:
            raise _Refused(IMAGE_FILE_TOO_LARGE, f"{int(stated):,} bytes")
        digest, size = hashlib.sha256(), 0
        with self._writer.temporary() as path:
            with path.open("wb") as file:
                async for chunk in response.aiter_raw(2**16):
                    size += len(chunk)
                    if size > most:
                        raise _Refused(IMAGE_FILE_TOO_LARGE, f"more than {most:,} bytes")
                    digest.update(chunk)
                    file.write(chunk)
            etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
            self._writer.keep(url, path, digest.hexdigest(), etag, modified)
        self._fetched.new += 1
        self._fetched.bytes += size

    def _signed(self, url: str) -> str:
        """The address of a picture in a bucket. Raises `_Refused` for a place that nobody named."""
        if self._signing is None or not may_ask(url, self._policy.buckets):
            raise _Refused(
                IMAGE_URL_REFUSED,
                "nobody named this place in a bucket; if it is meant, name it in FASHION_ASSETS_FETCH_HOSTS, as s3://BUCKET/FOLDER",
            )
        try:
            return self._signing.signed(url)
        except (
            Exception
        ) as error:  # keys that were good as it began; the client has errors of its own, of no common kind
            raise _Refused(IMAGE_UNREACHABLE, " ".join(str(error).split())) from error

    async def _admit(self, url: str) -> None:
        """That the URL may be asked. Raises `_Refused`. Names are resolved, and nothing is connected to."""
        host, port = _parts(url)
        if self._policy.names(host, port):
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"the host's name cannot be resolved: {error}") from error
        for *_, address in found:
            if not _is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
                raise _Refused(
                    IMAGE_URL_REFUSED,
                    f"{host} has the address {address[0]}, which is not public; if it is meant, name the host in "
                    "FASHION_ASSETS_FETCH_HOSTS",
                )

    def _may_connect(
        self, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
    ) -> bool:
        return self._policy.names(host, port) or _is_public(address)


def _parts(url: str) -> tuple[str, int]:
    """Host, or bucket, and port of a URL that may be asked. Raises `_Refused` for any other."""
    if in_bucket(url):
        bucket = bucket_of(url)
        if bucket is None or len(url) > LONGEST_URL:
            raise _Refused(IMAGE_URL_REFUSED, "no URL of a bucket: it looks like s3://BUCKET/FOLDER/PICTURE")
        return bucket, 443
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _Refused(IMAGE_URL_REFUSED, f"no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST_URL:
        raise _Refused(
            IMAGE_URL_REFUSED, "only http and https are fetched, from a host, by a URL of sensible length"
        )
    if parts.username is not None or parts.password is not None:
        raise _Refused(IMAGE_URL_REFUSED, "a URL with a password in it is not fetched")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in the clothes of another family: mapped, 6to4, behind a NAT64.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _require_a_picture(response: httpx.Response) -> None:
    status = response.status_code
    if status in _AGAIN:
        raise _Answered(status, _wait(response.headers.get("Retry-After")))
    if status != httpx.codes.OK:
        raise _Refused(IMAGE_GONE if status in _GONE else IMAGE_UNREACHABLE, f"the host answered {status}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused(IMAGE_UNREACHABLE, "the host sends it packed, which was not asked for")


def _wait(stated: str | None) -> float | None:
    """Seconds of a `Retry-After`, in either of its forms (RFC 9110, 10.2.3)."""
    if stated is None:
        return None
    if stated.strip().isdecimal():
        return float(stated)
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except ValueError:
        return None


def _worth_another(error: Exception) -> bool | float:
    """Whether to try again, and after how many seconds where the host says."""
    if isinstance(error, _Answered):
        return True if error.wait is None else min(error.wait, LONGEST_PAUSE)
    return isinstance(error, httpx.TransportError | TimeoutError) and not isinstance(
        error, SSRFProtectionError
    )
