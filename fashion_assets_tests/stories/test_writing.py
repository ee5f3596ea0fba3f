"""Stories by a model: a server on this machine that answers as endpoints do, and as they should not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fashion_assets.catalog.stories.story import read_story
from fashion_assets.catalog.stories.writing import Told
from fashion_assets.origins import ENVIRONMENT_PREFIX
from fashion_assets.settings import Settings
from fashion_assets.stories import asking, endpoint, writing
from fashion_assets.stories.answers import Answers, StoriesError, path_of
from fashion_assets.stories.writing import Wanted, foreseen, write

KEY = "sk-secret-0123456789"
GOOD = {"narrative": "A plain coat, and nothing else is said of it.", "mood": "peaceful"}

Reply = Callable[[dict], tuple[int, dict[str, str], bytes]]


def completion(content: Any, tokens: tuple[int, int] | None = (100, 50)) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    said: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    if tokens is not None:
        said["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return json.dumps(said).encode()


def good(asked: dict) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, completion(GOOD)


class Model:
    """What a server is asked and answers; `replies` come first, one for each request, then `good` for all others."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[dict] = []
        self.keys: set[str | None] = set()
        self.at: list[float] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with model.lock:
                    model.at_once += 1
                    model.most_at_once = max(model.most_at_once, model.at_once)
                    model.asked.append({"path": self.path, **body})
                    model.at.append(time.monotonic())
                    model.keys.add(self.headers.get("Authorization"))
                    reply = model.replies.pop(0) if model.replies else good
                try:
                    status, headers, raw = reply(body)
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    pass  # nobody waits any more
                finally:
                    with model.lock:
                        model.at_once -= 1

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def configured(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    def settings(**more: Any) -> Settings:
        values = {
            "home": tmp_path,
            "story_endpoint": model.url,
            "story_model": "scribe-1",
            "story_key": KEY,
            "story_requests_per_minute": 100_000,
            **more,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"{ENVIRONMENT_PREFIX}{name.upper()}", str(value))
        return Settings()  # type: ignore[call-arg]

    return settings


def coats(count: int) -> list[Wanted]:
    made = []
    for number in range(count):
        told = Told(
            f"p{number}", title=f"Plain coat {number}", brand="COS", price="40.00", number=str(number)
        )
        made.append(Wanted(asking.key(told, "scribe-1"), told, told._asdict(), "old-00001"))
    return made


def written(settings: Settings, wanted: list[Wanted], **how: Any):
    with Answers(path_of(settings)) as answers:
        figures = write(settings, wanted, answers, first_pause=0.01, **how)
        return figures, answers.known([each.key for each in wanted]), answers.spent("scribe-1")


def test_a_story_is_kept_and_nothing_is_asked_twice(
    model: Model, configured, caplog: pytest.LogCaptureFixture
):
    settings = configured(story_input_price=1, story_output_price=2, story_at_once=3)
    both = threading.Barrier(2)

    def when_two_are_asked(asked: dict) -> tuple[int, dict[str, str], bytes]:
        both.wait(60)
        return good(asked)

    model.replies += [when_two_are_asked] * 2
    figures, known, spent = written(settings, coats(7))
    assert (figures.written, figures.requests, len(known)) == (7, 7, 7)
    story = read_story(known[coats(1)[0].key].story)
    assert story is not None and story.narrative == GOOD["narrative"] and story.mood == "peaceful"
    assert (story.writer, story.version, story.memories) == ("scribe-1", asking.version(), ())
    assert spent == pytest.approx(7 * (100 * 1 + 50 * 2) / 1e6)
    assert model.keys == {f"Bearer {KEY}"} and 1 < model.most_at_once <= 3
    assert {each["path"] for each in model.asked} == {"/v1/chat/completions"}
    assert "Plain coat 3" in model.asked[3]["messages"][1]["content"] + json.dumps(model.asked)

    figures, _, again = written(settings, coats(9))
    assert (figures.known, figures.written, len(model.asked), figures.requests) == (7, 2, 9, 2)
    assert again > spent
    # Another record, another model: asked for again.
    with Answers(path_of(settings)) as answers:
        assert foreseen(settings, coats(10), answers)["to_ask"] == 1
    assert asking.key(coats(1)[0].told, "scribe-2") != coats(1)[0].key
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "reply",
    [
        lambda asked: (429, {"Retry-After": "0"}, b'{"error": {"message": "slow down"}}'),
        lambda asked: (500, {}, b"oops"),
        lambda asked: (200, {}, b"no json"),
        lambda asked: (200, {}, b'{"choices": []}'),
    ],
    ids=["429", "500", "no json", "no choice"],
)
def test_what_passes_is_tried_again(model: Model, configured, reply: Reply):
    model.replies = [reply, reply]
    figures, _, _ = written(configured(), coats(1))
    assert (figures.written, len(model.asked), dict(figures.failed)) == (1, 3, {})


def test_retry_after_holds_every_request(model: Model, configured):
    model.replies = [lambda asked: (429, {"Retry-After": "0.5"}, b"")]
    figures, _, _ = written(configured(story_at_once=2), coats(6))
    assert figures.written == 6
    gaps = [after - before for before, after in zip(model.at[:-1], model.at[1:], strict=True)]
    # Those that were on their way at once with the refused one may have been answered before.
    assert max(gaps) >= 0.4 and len(model.asked) == 7


def test_a_slow_answer_is_given_up_and_its_cost_counted(model: Model, configured):
    def slow(asked: dict) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.6)
        return good(asked)

    model.replies = [slow]
    figures, _, spent = written(
        configured(story_seconds=0.3, story_input_price=10, story_output_price=10), coats(1)
    )
    assert (figures.written, len(model.asked)) == (1, 2)
    # Nobody knows whether the one that was cut off is charged: it counts as the most it can be.
    assert spent > 10 * asking.ANSWER_TOKENS / 1e6 + 150 * 10 / 1e6


def test_an_endpoint_that_is_down_is_left_alone(model: Model, configured, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endpoint, "ATTEMPTS", 2)
    model.replies = [lambda asked: (503, {}, b"")] * 1000
    figures, known, _ = written(configured(story_at_once=1), coats(40))
    assert (figures.written, known) == (0, {}) and figures.failed.total() == 10
    assert "given up" in figures.stopped and figures.left == 30 and len(model.asked) == 20
    model.replies = []
    figures, _, _ = written(configured(), coats(40))
    assert figures.written == 40


@pytest.mark.parametrize(
    ("status", "said", "setting"),
    [
        (401, f"Incorrect API key provided: {KEY}", "STORY_KEY"),
        (404, "no such route", "STORY_ENDPOINT"),
        (400, "no such model", "STORY_MODEL"),
    ],
)
def test_what_no_attempt_would_change_ends_the_run(
    model: Model, configured, status: int, said: str, setting: str
):
    model.replies = [lambda asked: (status, {}, json.dumps({"error": {"message": said}}).encode())] * 50
    with pytest.raises(StoriesError) as raised:
        written(configured(story_at_once=1), coats(5))
    assert str(status) in str(raised.value) and f"FASHION_ASSETS_{setting}" in str(raised.value)
    assert KEY not in str(raised.value) and len(model.asked) == 1


def test_nothing_is_asked_where_nothing_is_named(configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    configured()
    monkeypatch.delenv(f"{ENVIRONMENT_PREFIX}STORY_MODEL")
    with pytest.raises(StoriesError, match="FASHION_ASSETS_STORY_MODEL"):
        written(Settings(), coats(1))  # type: ignore[call-arg]
    with pytest.raises(StoriesError, match="no price"):
        written(configured(story_budget=5), coats(1))
    assert KEY not in repr(configured())


def test_what_the_record_does_not_say_goes_back_and_then_is_refused(model: Model, configured):
    invented = {"narrative": "A red silk coat by Nike, of 1999.", "mood": "nostalgic"}
    model.replies = [lambda asked: (200, {}, completion(invented)), good]
    figures, _, _ = written(configured(story_at_once=1), coats(1))
    assert (figures.written, figures.corrected, figures.refused) == (1, 1, 0)
    sent_back = model.asked[1]["messages"]
    assert [each["role"] for each in sent_back] == ["system", "user", "assistant", "user"]
    for claim in ("brand Nike", "colour red", "material silk", "number 1999"):
        assert claim in sent_back[-1]["content"]

    # Never right: the product has the built-in story, and nobody is asked again.
    model.replies = [lambda asked: (200, {}, completion(invented))] * 3
    figures, known, _ = written(configured(story_at_once=1), coats(2))
    assert (figures.written, figures.refused, figures.corrected) == (0, 1, 2)
    kept = known[coats(2)[1].key]
    assert kept.story is None and "Nike" in (kept.refused or "")
    assert written(configured(), coats(2))[0].requests == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("Once upon a time", "no JSON"),
        ({"story": "x"}, "no narrative"),
        ([GOOD], "no narrative"),
        ({"narrative": "word " * 400}, "characters"),
    ],
)
def test_an_answer_without_a_story_goes_back(model: Model, configured, content: Any, fault: str):
    model.replies = [lambda asked: (200, {}, completion(content))]
    figures, _, _ = written(configured(), coats(1))
    assert (figures.written, figures.corrected) == (1, 1)
    assert fault in model.asked[1]["messages"][-1]["content"]


def test_a_fence_is_taken_off_and_memories_are_left_out(model: Model, configured):
    fenced = f"```json\n{json.dumps({**GOOD, 'memories': ['My aunt wore it']})}\n```"
    model.replies = [lambda asked: (200, {}, completion(fenced))]
    figures, known, _ = written(configured(), coats(1))
    (kept,) = known.values()
    assert figures.written == 1 and json.loads(kept.story or "")["memories"] == []


def test_the_limit_is_never_exceeded_whatever_is_charged(model: Model, configured):
    # A million tokens cost so much that each request may cost up to about 0.015, and does cost 0.0015.
    prices = {"story_input_price": 10, "story_output_price": 10, "story_at_once": 4}
    settings = configured(story_budget=0.05, **prices)
    figures, known, spent = written(settings, coats(60))
    assert 0 < spent <= 0.05 and figures.written == len(known) < 60
    assert "STORY_BUDGET" in figures.stopped and figures.left == 60 - figures.written
    # It holds over all runs; with more money it goes on.
    assert written(settings, coats(60))[0].requests == 0
    figures, known, _ = written(configured(story_budget=1, **prices), coats(60))
    assert len(known) == 60 and figures.known >= 1

    # An endpoint that does not say what it charged counts as the most.
    model.replies = [lambda asked: (200, {}, completion(GOOD, tokens=None))] * 100
    before = written(configured(story_budget=2, **prices), coats(60))[2]
    figures, _, spent = written(configured(story_budget=before + 0.03, **prices), coats(90))
    assert before < spent <= before + 0.03 and 1 <= figures.requests <= 3


def test_so_many_at_the_most(model: Model, configured):
    figures, known, _ = written(configured(), coats(9), limit=4)
    assert (figures.written, figures.left, len(known)) == (4, 5, 4) and "4" in figures.stopped


def test_a_run_that_is_killed_has_kept_what_was_answered(
    model: Model, configured, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writing, "PAGE", 20)
    settings = configured(story_at_once=1, story_input_price=1, story_output_price=1)
    count = 0

    def interrupted(figures: Any) -> None:
        nonlocal count
        count += 1
        if figures.products > 20:
            raise KeyboardInterrupt

    with pytest.raises(BaseException) as raised:
        written(settings, coats(30), progress=interrupted)
    assert raised.value.__class__.__name__ in ("KeyboardInterrupt", "BaseExceptionGroup")
    answered = len(model.asked)
    figures, known, _ = written(settings, coats(30))
    assert len(known) == 30 and figures.known >= 20 and len(model.asked) <= 30 + 1 and answered >= 20


def test_requests_keep_their_pace(model: Model, configured):
    written(configured(story_requests_per_minute=600, story_at_once=8), coats(5))
    assert len(model.at) == 5 and model.at[-1] - model.at[0] >= 0.35
