"""Asking a model behind an OpenAI-compatible endpoint (`POST …/chat/completions`).

What belongs here: requests, trying again, the pace. What does not: what is asked (`asking`), what it may cost (`spending`).

An endpoint may be down, slow, busy or wrong. What passes by itself is tried again after a pause, the endpoint's own if it says one, which
then holds for all requests; what does not (the key, the model, the address) ends the run at once. The key goes out in one header and is
said nowhere, also where an endpoint repeats it.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import stamina

from fashion_assets import __version__
from fashion_assets.errors import one_line
from fashion_assets.origins import variable
from fashion_assets.settings import Settings
from fashion_assets.stories.answers import StoriesError
from fashion_assets.stories.asking import ANSWER_TOKENS, Message

# What passes by itself is nothing to tell; what does not is told once, in the figures.
stamina.instrumentation.set_on_retry_hooks(())

ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts, the endpoint's own wish included."""

LARGEST_ANSWER = 2**20
"""Bytes that are read of an answer."""

CONNECTING = 10.0

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_OF_THE_SETTINGS = {
    401: "story_key",
    402: "story_key",
    403: "story_key",
    404: "story_endpoint",
    405: "story_endpoint",
}


class Answered(NamedTuple):
    """What a model said, and the tokens the endpoint counted; None where it does not say."""

    text: str
    input_tokens: int | None
    output_tokens: int | None


class NotAnswered(Exception):
    """An attempt that came to nothing; another one may not."""

    def __init__(self, said: str, wait: float | None = None, is_charged: bool = False) -> None:
        super().__init__(said)
        self.wait = wait
        """Seconds after which the endpoint wishes to be asked again."""
        self.is_charged = is_charged
        """Whether it may have cost something all the same: nobody knows of one that was cut off."""


class Endpoint:
    """One model, asked by any number of callers at once. Used as an asynchronous context."""

    def __init__(self, settings: Settings, first_pause: float = FIRST_PAUSE) -> None:
        """Raises `StoriesError` where the settings name no endpoint, or no model."""
        if settings.story_endpoint is None or settings.story_model is None:
            raise StoriesError(
                f"No model writes stories. Name an OpenAI-compatible endpoint in {variable('story_endpoint')} "
                f"(https://api.openai.com/v1), and its model in {variable('story_model')}."
            )
        self.url = f"{settings.story_endpoint.rstrip('/')}/chat/completions"
        self.model = settings.story_model
        self._key = settings.story_key.get_secret_value() if settings.story_key else None
        self._seconds = settings.story_seconds
        self._between = 60 / settings.story_requests_per_minute
        self._next = 0.0
        self._first_pause = first_pause
        self._client = httpx.AsyncClient(
            headers={
                "User-Agent": f"fashion-assets/{__version__}",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
            timeout=httpx.Timeout(self._seconds, connect=min(CONNECTING, self._seconds)),
            limits=httpx.Limits(max_connections=settings.story_at_once),
            follow_redirects=False,  # the key is for this host
        )

    async def __aenter__(self) -> "Endpoint":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def attempts(self) -> Any:
        """The attempts at one request, with pauses between them: `async for attempt in …: with attempt: … ask(…)`."""
        return stamina.retry_context(
            on=_worth_another,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=self._first_pause,
            wait_max=LONGEST_PAUSE,
            wait_jitter=self._first_pause,
        )

    async def ask(self, messages: Sequence[Message]) -> Answered:
        """One attempt, once it is its turn. Raises `NotAnswered`, of which another attempt may come to more; `StoriesError` for what no
        other would change."""
        await self._turn()
        try:
            return await self._once(messages)
        except NotAnswered as missed:
            if missed.wait is not None:
                self._hold(missed.wait)
            raise

    async def _turn(self) -> None:
        """Wait until one more request may go out."""
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._between
        if at > now:
            await asyncio.sleep(at - now)

    def _hold(self, seconds: float) -> None:
        """Let nobody's request go out before so many seconds are over."""
        self._next = max(self._next, time.monotonic() + min(seconds, LONGEST_PAUSE))

    async def _once(self, messages: Sequence[Message]) -> Answered:
        body = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0.7,
        }
        try:
            async with asyncio.timeout(self._seconds):
                async with self._client.stream("POST", self.url, json=body) as response:
                    raw = await _read(response)
        except TimeoutError:
            raise NotAnswered(f"no answer within {self._seconds:g} seconds", is_charged=True) from None
        except httpx.ConnectError as error:
            raise NotAnswered(f"it cannot be reached: {self._without_key(str(error))}") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            said = self._without_key(str(error)) or type(error).__name__
            raise NotAnswered(said, is_charged=isinstance(error, httpx.TransportError)) from None
        if response.status_code != httpx.codes.OK:
            raise self._refused(response, raw)
        try:
            said = json.loads(raw)
            text = said["choices"][0]["message"]["content"]
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError):
            raise NotAnswered("its answer is no chat completion", is_charged=True) from None
        usage = said.get("usage") if isinstance(said.get("usage"), dict) else {}
        return Answered(text, _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")))

    def _refused(self, response: httpx.Response, raw: bytes) -> Exception:
        code = response.status_code
        said = self._without_key(_message(raw))
        told = f"{code} {response.reason_phrase}{f': {said}' if said else ''}"
        if code in _AGAIN and "insufficient_quota" not in said:
            return NotAnswered(told, _wait(response))
        name = _OF_THE_SETTINGS.get(code, "story_model")
        return StoriesError(
            f"{self.place} refuses to write stories: {told}. Look at {variable(name)}"
            f"{'' if name == 'story_endpoint' else ' and what your account there may do'}."
        )

    @property
    def place(self) -> str:
        """The endpoint for people."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path.removesuffix('/chat/completions')}"

    def _without_key(self, text: str) -> str:
        text = one_line(text)[:300]
        return text.replace(self._key, "…") if self._key else text


def _worth_another(error: Exception) -> bool | float:
    """Whether to try again, and after how many seconds where the endpoint says."""
    if not isinstance(error, NotAnswered):
        return False
    return True if error.wait is None else min(error.wait, LONGEST_PAUSE)


async def _read(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for chunk in response.aiter_bytes(2**16):
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise NotAnswered(f"its answer has more than {LARGEST_ANSWER:,} bytes", is_charged=True)
        parts.append(chunk)
    return b"".join(parts)


def _wait(response: httpx.Response) -> float | None:
    """The seconds of `Retry-After`, or until its moment."""
    stated = response.headers.get("Retry-After", "").strip()
    if not stated:
        return None
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _message(raw: bytes) -> str:
    """What an error says for people, in any of the shapes there are."""
    try:
        said: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return raw[:200].decode("utf-8", "replace")
    error = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(error, dict):
        return " ".join(str(error[name]) for name in ("code", "message") if error.get(name))
    return str(error)


def _tokens(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None
