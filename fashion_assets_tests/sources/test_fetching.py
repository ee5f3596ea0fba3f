"""Pictures come from where they may come from, once, and what cannot be had has its reason."""

import http.server
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from fashion_assets.catalog.profile import Profile
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.validation import validate
from fashion_assets.release.scan import fetch_pictures
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, open_source
from fashion_assets.sources.fetching import GIVEN_UP_AFTER, Policy, fetch
from fashion_assets.sources.picture_cache import PictureCache
from fashion_assets_tests.catalogue import write_catalogue

JPEG = b"\xff\xd8\xff\xe0 a picture"


class Host:
    """A web server of pictures: what it answers by path, and what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def policy(self, **changes) -> Policy:
        return Policy(**{"hosts": frozenset({f"127.0.0.1:{self.port}"}), "seconds": 5.0} | changes)


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as found:
        yield found


@contextmanager
def serving() -> Iterator[Host]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                known.asked[self.path] += 1
                known.headers.append(dict(self.headers))
                known.at_once += 1
                known.most_at_once = max(known.most_at_once, known.at_once)
            try:
                known.answers.get(self.path, picture())(self)
            finally:
                with lock:
                    known.at_once -= 1

        def log_message(self, *_: object) -> None:
            pass

    lock = threading.Lock()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Host(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()


def picture(body: bytes = JPEG, status: int = 200, **headers: str):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(to: str):
    return picture(b"", 302, Location=to)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PictureCache]:
    made = PictureCache(tmp_path / "pictures")
    yield made
    made.close()


def bytes_of(cache: PictureCache, url: str) -> bytes:
    place, reason = cache.picture(url)
    assert reason is None and place is not None
    return (cache.folder / place).read_bytes()


def reason_of(cache: PictureCache, url: str) -> str | None:
    return cache.picture(url)[1]


def test_pictures_are_kept_by_content_and_not_fetched_again(host: Host, cache: PictureCache):
    urls = [host.url(f"/{n}.jpg") for n in range(30)]
    done: list[int] = []
    fetched = fetch("shop", iter([*urls, urls[0]]), cache, host.policy(per_host=2), done.append)
    assert fetched.new == 30 and done[-1] == 31 and not fetched.failed
    assert [bytes_of(cache, url) for url in urls] == [JPEG] * 30
    # Equal bytes are one file; nothing of what was underway is left.
    files = [path for path in cache.folder.rglob("*") if path.is_file() and "urls.sqlite" not in path.name]
    assert len(files) == 1
    assert host.most_at_once <= 2
    again = fetch("shop", urls, cache, host.policy())
    assert (again.known, again.asked) == (30, 0) and sum(host.asked.values()) in (30, 31)


def test_what_was_never_asked_for_says_so(cache: PictureCache):
    assert cache.picture("https://example.com/a.jpg") == (None, "image_not_fetched")
    assert not cache.folder.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/a.jpg",
        "http://localhost:{port}/a.jpg",
        "http://[::1]:{port}/a.jpg",
        "http://[::ffff:127.0.0.1]:{port}/a.jpg",
        "http://2130706433:{port}/a.jpg",
        "http://0x7f.1:{port}/a.jpg",
        "http://0.0.0.0:{port}/a.jpg",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/a.jpg",
        "http://user:secret@127.0.0.1:{port}/a.jpg",
        "ftp://127.0.0.1:{port}/a.jpg",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/a.jpg",
        "http:///a.jpg",
        "http://127.0.0.1:99999/a.jpg",
    ],
)
def test_addresses_that_are_not_public_are_not_even_connected_to(host: Host, cache: PictureCache, url: str):
    url = url.format(port=host.port)
    fetched = fetch("shop", [url], cache, Policy(seconds=5))
    assert not host.asked and host.most_at_once == 0
    assert fetched.failed == {"image_url_refused": 1} and reason_of(cache, url) == "image_url_refused"
    found = cache.find(url)
    assert found is not None and found.said and "secret" not in found.said


def test_a_redirect_leads_nowhere_one_may_not_go(host: Host, cache: PictureCache):
    with serving() as inside:
        host.answers["/a.jpg"] = redirect(inside.url("/secret"))
        host.answers["/file.jpg"] = redirect("file:///etc/passwd")
        host.answers["/round.jpg"] = redirect("/round.jpg")
        host.answers["/twice.jpg"] = redirect("/once.jpg")
        host.answers["/once.jpg"] = redirect("/b.jpg")
        urls = [host.url(path) for path in ("/a.jpg", "/file.jpg", "/round.jpg", "/twice.jpg")]
        fetch("shop", urls, cache, host.policy())
        assert not inside.asked
    assert [reason_of(cache, url) for url in urls[:3]] == [
        "image_url_refused",
        "image_url_refused",
        "image_gone",
    ]
    assert bytes_of(cache, urls[3]) == JPEG


def test_a_name_that_resolves_to_another_address_the_second_time_leads_nowhere(
    host: Host, cache: PictureCache, monkeypatch: pytest.MonkeyPatch
):
    resolved = socket.getaddrinfo
    times: Counter[str] = Counter()

    def rebound(name, port, *more, **options):
        name = name.decode() if isinstance(name, bytes) else name
        if name == "pictures.example":
            times[name] += 1
            name = "93.184.216.34" if times[name] == 1 else "127.0.0.1"
        return resolved(name, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    url = host.url("/a.jpg", "pictures.example")
    fetch("shop", [url], cache, Policy(seconds=5))
    assert times["pictures.example"] > 1 and not host.asked
    assert reason_of(cache, url) == "image_url_refused"


def test_sizes_are_bounded_told_or_not(host: Host, cache: PictureCache):
    def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(2**16))
        except OSError:
            handler.close_connection = True

    host.answers["/told.jpg"] = picture(bytes(2**20))
    host.answers["/endless.jpg"] = endless
    host.answers["/packed.jpg"] = picture(JPEG, Content_Encoding="gzip")
    urls = [host.url(path) for path in ("/told.jpg", "/endless.jpg", "/packed.jpg")]
    fetch("shop", urls, cache, host.policy(max_bytes=2**18))
    assert [reason_of(cache, url) for url in urls] == [
        "image_file_too_large",
        "image_file_too_large",
        "image_unreachable",
    ]
    assert not list(cache.folder.glob("*.part"))
    assert all(header["Accept-Encoding"] == "identity" for header in host.headers)


def test_what_may_pass_is_tried_again_and_what_will_not_is_not(host: Host, cache: PictureCache):
    left = iter((503, 429, 200))

    def busy(handler: http.server.BaseHTTPRequestHandler) -> None:
        status = next(left)
        picture(JPEG if status == 200 else b"", status, **({"Retry_After": "0"} if status != 200 else {}))(
            handler
        )

    host.answers["/busy.jpg"] = busy
    host.answers["/gone.jpg"] = picture(b"", 404)
    host.answers["/closed.jpg"] = picture(b"", 403)
    urls = [host.url(path) for path in ("/busy.jpg", "/gone.jpg", "/closed.jpg")]
    fetched = fetch("shop", urls, cache, host.policy())
    assert bytes_of(cache, urls[0]) == JPEG and host.asked["/busy.jpg"] == 3
    assert [reason_of(cache, url) for url in urls[1:]] == ["image_gone", "image_unreachable"]
    assert host.asked["/gone.jpg"] == host.asked["/closed.jpg"] == 1
    assert fetched.failed == {"image_gone": 1, "image_unreachable": 1}
    # The next run asks anew for what may be reachable by now, and leaves alone what is gone.
    host.answers["/closed.jpg"] = picture()
    fetch("shop", urls, cache, host.policy())
    assert bytes_of(cache, urls[2]) == JPEG and host.asked["/gone.jpg"] == 1


def test_a_slow_host_has_its_time_and_no_more(host: Host, cache: PictureCache):
    import stamina

    over = threading.Event()
    host.answers["/slow.jpg"] = lambda handler: over.wait(20) and None
    url = host.url("/slow.jpg")
    with stamina.set_testing(True, attempts=2):  # with no pause between them
        fetch("shop", [url], cache, host.policy(seconds=0.2))
    over.set()
    assert host.asked["/slow.jpg"] == 2
    assert reason_of(cache, url) == "image_unreachable"
    held = cache.find(url)
    assert held is not None and "0.2 seconds" in held.said


def test_a_host_that_is_down_is_given_up(cache: PictureCache):
    import stamina

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # nobody listens
        urls = [f"http://127.0.0.1:{port}/{n}.jpg" for n in range(200)]
        with stamina.set_testing(True, attempts=1):
            fetched = fetch("shop", urls, cache, Policy(frozenset({"127.0.0.1"}), per_host=1))
    assert fetched.failed == {"image_unreachable": 200} and fetched.given_up == {"127.0.0.1"}
    assert GIVEN_UP_AFTER <= fetched.asked < 2 * GIVEN_UP_AFTER
    assert "given up: 127.0.0.1" in str(fetched)


def test_a_picture_is_asked_whether_it_changed_and_stays_where_its_host_fails(
    host: Host, cache: PictureCache
):
    url = host.url("/a.jpg")

    def versioned(handler: http.server.BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("If-None-Match") == '"1"'
        picture(b"" if known else JPEG, 304 if known else 200, ETag='"1"')(handler)

    host.answers["/a.jpg"] = versioned
    fetch("shop", [url], cache, host.policy())
    unchanged = fetch("shop", [url], cache, host.policy(again_after=0))
    assert (unchanged.unchanged, unchanged.new) == (1, 0) and bytes_of(cache, url) == JPEG

    host.answers["/a.jpg"] = picture(b"", 404)
    fetch("shop", [url], cache, host.policy(again_after=0))
    assert bytes_of(cache, url) == JPEG  # a release never depends on a host

    host.answers["/a.jpg"] = picture(JPEG + b" anew")
    changed = fetch("shop", [url], cache, host.policy(again_after=0))
    assert changed.new == 1 and bytes_of(cache, url) == JPEG + b" anew"


def test_what_is_killed_goes_on_where_it_was(host: Host, cache: PictureCache):
    urls = [host.url(f"/{n}.jpg") for n in range(40)]

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        if done == 20:
            raise Killed

    with pytest.raises(BaseException) as raised:
        fetch("shop", urls, cache, host.policy(per_host=1), kill)
    assert raised.type is Killed or raised.group_contains(Killed)
    half = cache.folder / ".1-0.part"
    half.write_bytes(b"half of a picture")
    os.utime(half, (0, 0))
    had = sum(cache.picture(url)[1] is None for url in urls)
    assert 20 <= had < 40
    rest = fetch("shop", urls, cache, host.policy())
    assert rest.known == had and rest.new == 40 - had and not half.exists()


def test_a_picture_whose_file_was_deleted_is_fetched_again(host: Host, cache: PictureCache):
    url = host.url("/a.jpg")
    fetch("shop", [url], cache, host.policy())
    place, _ = cache.picture(url)
    assert place is not None
    (cache.folder / place).unlink()
    assert reason_of(cache, url) == "image_not_fetched"
    fetch("shop", [url], cache, host.policy())
    assert bytes_of(cache, url) == JPEG


def test_urls_are_streamed(host: Host, cache: PictureCache):
    """A catalogue's URLs are taken as there is room for them, not gathered."""
    ahead = 0

    def urls() -> Iterator[str]:
        nonlocal ahead
        for n in range(200):
            ahead = max(ahead, n - done)
            yield host.url(f"/{n % 7}.jpg")

    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done = count

    fetch("shop", urls(), cache, host.policy(), progress)
    assert done == 200 and ahead <= 32


def test_a_pause_a_host_asks_for_is_bounded():
    from fashion_assets.sources import fetching

    assert fetching._worth_another(fetching._Answered(503, 3600.0)) == fetching.LONGEST_PAUSE
    assert fetching._wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 90 < (fetching._wait(soon) or 0) <= 100
    assert fetching._wait("soon") is None


def listings_of(source: Source) -> pa.Table:
    """All of them, with the keys a register would give."""
    references = pa.concat_tables(list(source.scan()))
    keyed = references.append_column("listing_key", references["external_id"])
    return source.read(keyed.append_column("occurrence", pa.array([0] * keyed.num_rows, pa.int32())))


def test_a_catalogue_of_urls_has_its_pictures_once_they_are_fetched(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = write_catalogue(tmp_path / "drawn", 3)
    for n, path in enumerate(sorted((drawn / "images").iterdir())):
        host.answers[f"/{n}.jpg"] = picture(path.read_bytes())
    host.answers["/2.jpg"] = picture(b"", 404)
    header, *lines = (drawn / "styles.csv").read_text().splitlines()
    folder = tmp_path / "shop"
    folder.mkdir()
    told = [f"{header},image", *(f"{line},{host.url(f'/{n}.jpg')}" for n, line in enumerate(lines))]
    (folder / "styles.csv").write_text("\n".join(told))
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FASHION_ASSETS_FETCH_HOSTS", f"127.0.0.1:{host.port}")
    settings = Settings()  # type: ignore[call-arg]

    def opened() -> Source:
        return open_source("catalogue", "shop", str(folder), settings)

    before = listings_of(opened())
    assert before["defects"].to_pylist() == [["image_not_fetched"]] * 3
    (said,) = fetch_pictures([opened()], settings)
    assert said == "shop: pictures by URL: 2 fetched, 0 unchanged, 0 known, 1 image_gone"
    after = listings_of(opened())
    assert after["defects"].to_pylist() == [[], [], ["image_gone"]]
    # Each is another content than before: what was in quarantine for its picture is judged anew.
    assert not set(before["content_hash"].to_pylist()) & set(after["content_hash"].to_pylist())
    judged = validate(after, Rules(), pictures_in=opened().picture_folders)
    assert (judged.products.num_rows, judged.rejections["reasons"].to_pylist()) == (2, [["image_gone"]])
    optional = validate(
        after, Rules(profile=Profile(picture="optional")), pictures_in=opened().picture_folders
    )
    assert optional.products.num_rows == 3
    # The host may be down by now.
    host.answers = {path: picture(b"", 500) for path in host.answers}
    assert listings_of(opened()).equals(after)


def test_pictures_are_files_in_some_rows_and_urls_in_others(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_catalogue(tmp_path / "shop", 4)
    pictures = sorted((folder / "images").iterdir())
    host.answers["/1.jpg"] = picture(pictures[1].read_bytes())
    host.answers["/3.jpg"] = picture(pictures[3].read_bytes())
    # A file whose name and folder are those of one that was fetched is the source's own all the same.
    digest = "ab" * 32
    (folder / "ab").mkdir()
    pictures[0].rename(folder / "ab" / digest)
    header, *lines = (folder / "styles.csv").read_text().splitlines()
    # The third states a file that is not there, and has another one by URL.
    stated = [f"ab/{digest}", host.url("/1.jpg"), f"images/{pictures[2].name}", "images/gone.jpg"]
    told = [f"{header},image,further"]
    told += [
        f"{line},{where},{host.url('/3.jpg') if n == 3 else ''}"
        for n, (line, where) in enumerate(zip(lines, stated, strict=True))
    ]
    (folder / "styles.csv").write_text("\n".join(told))
    (mapping := tmp_path / "mixed.toml").write_text(
        'name = "mixed"\nfiles = "styles.csv"\nid = "id"\npictures = { columns = ["image", "further"] }\n'
        'attributes = { title = "productDisplayName" }\nprofile = { critical = ["title"] }\n'
    )
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FASHION_ASSETS_FETCH_HOSTS", f"127.0.0.1:{host.port}")
    settings = Settings()  # type: ignore[call-arg]

    def opened(**options: str) -> Source:
        return open_source(
            "catalogue", "shop", str(folder), settings, {"mapping": str(mapping)} | dict(options)
        )

    before = listings_of(opened())
    assert before["defects"].to_pylist() == [[], ["image_not_fetched"], [], []]
    (said,) = fetch_pictures([opened()], settings)
    assert said == "shop: pictures by URL: 2 fetched, 0 unchanged, 0 known"
    after = listings_of(opened())
    uris = after["image_uri"].to_pylist()
    assert uris[::2] == [f"./ab/{digest}", f"images/{pictures[2].name}"]
    # What was in the folder is the same listing; those with a picture by now are others.
    same = [
        a == b
        for a, b in zip(before["content_hash"].to_pylist(), after["content_hash"].to_pylist(), strict=True)
    ]
    assert same == [True, False, True, False]
    judged = validate(
        after, Rules(profile=Profile(critical=("title",))), pictures_in=opened().picture_folders
    )
    assert judged.products.num_rows == 4
    # Moved, catalogue and home, they are where these are.
    folder.rename(tmp_path / "moved")
    settings.home.rename(tmp_path / "other")
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "other"))
    folder, settings = tmp_path / "moved", Settings()  # type: ignore[call-arg]
    assert all(os.path.isfile(opened().picture_folders.path(uri)) for uri in uris)
    # Who names a folder has pictures there; what it lacks is fetched all the same.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "images" / pictures[2].name).rename(elsewhere / "1.jpg")
    named = listings_of(opened(pictures=str(elsewhere)))
    assert named["image_uri"].to_pylist() == [None, "1.jpg", None, uris[3]]
    (said,) = fetch_pictures([opened(pictures=str(elsewhere))], settings)
    assert said == "shop: pictures by URL: 0 fetched, 0 unchanged, 1 known"


def test_a_catalogue_in_a_folder_has_nothing_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path / "home"))
    settings = Settings()  # type: ignore[call-arg]
    drawn = open_source("catalogue", "shop", str(write_catalogue(tmp_path / "drawn", 3)), settings)
    assert fetch_pictures([drawn], settings) == [] and not settings.picture_cache.exists()
