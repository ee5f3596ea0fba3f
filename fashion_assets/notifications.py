"""Telling people that something waits for them: by a webhook, by e-mail, or both.

What belongs here: what is told, how it is worded and sent. What does not: when there is something to tell (`migration` for
the command line, `defs.alerts` for runs that Dagster launches).

Whatever hinders it is logged and changes nothing: a run does not fail because nobody could be told of it. What sends is
imported when there is something to send: a run that has nothing to do must stay quick.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from fashion_assets.settings import Settings

Kind = Literal[
    "batch_failed",
    "release_refused",
    "release_waits",
    "run_failed",
    "source_stale",
    "source_unreadable",
    "installation_unsound",
]

REMEDIES: dict[Kind, str] = {
    "batch_failed": "Look at what was rejected (fashion-assets quarantine), mend the source and run again (fashion-assets run). If so much is "
    "meant to be rejected: fashion-assets run --accept-rejections",
    "release_refused": "What is live stays live. See which criteria fail and why (fashion-assets criteria), mend that and run again "
    "(fashion-assets run)",
    "release_waits": "Look at its report, then put it live: fashion-assets promote",
    "run_failed": "Mend what it names, then run again (fashion-assets run): finished work is kept. If it names nothing: fashion-assets doctor",
    "source_stale": "Ask whoever delivers it. If it is meant to rest: fashion-assets sources deactivate, or a larger "
    "FASHION_ASSETS_STALE_AFTER_DAYS",
    "source_unreadable": "Bring it back where it was, or say where it is now (fashion-assets sources add), then: fashion-assets run",
    "installation_unsound": "Do what each line says, then look again: fashion-assets doctor",
}
"""What is to be done about each kind of event; every message says it."""

TIMEOUT_SECONDS = 10
"""For the whole of one message to one receiver, as far as that can be said: for each answer awaited."""

LINES = 20
"""Details told of one event; how many more there are is said."""

LINE_CHARACTERS = 500
"""Longest line told. What listings say is quoted, and may be of any length."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that waits for a person."""

    kind: Kind
    title: str
    """What happened, in one line."""
    details: Sequence[str] = ()
    """A line each."""
    link: str = ""
    """Where to look at it."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.kind]

    @property
    def lines(self) -> list[str]:
        """The details as they are told: whole lines of words, no more than people read."""
        told = [_line(each) for detail in self.details for each in detail.splitlines()]
        more = [f"and {len(told) - LINES:,} more"] if len(told) > LINES else []
        return [*told[:LINES], *more]


def is_configured(settings: Settings) -> bool:
    """Whether anybody is to be told of anything."""
    return settings.notify_webhook is not None or settings.notify_email is not None


def waits(release: str, products: int | None, lacks_approval: bool = False) -> str:
    """What is told of a release that is left to a person."""
    first = f"fashion-assets approve {release} --why TEXT, then " if lacks_approval else ""
    return f"{release} ({products or 0:,} products) is ready and waits for a person: {first}fashion-assets promote {release}"


def notify(settings: Settings, event: Event) -> None:
    """Tell whoever the settings name. Never raises for what hinders it; the log says which message was not sent and why, and
    names no secret."""
    for configured, send in ((settings.notify_webhook, _post), (settings.notify_email, _mail)):
        if configured is None:
            continue
        try:
            send(settings, event)
        except Exception as error:  # of the network, of TLS, of either protocol, of a receiver's nonsense
            said = _line(str(getattr(error, "reason", None) or error) or type(error).__name__)
            _log.warning("nobody was told that %s: %s: %s", _line(event.title), send.__doc__, said)


def _post(settings: Settings, event: Event) -> None:
    """the webhook"""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NowhereElse(HTTPRedirectHandler):
        """Follows no redirection: it would turn the message into a question."""

        def redirect_request(self, *_: object) -> None:
            """None: an error, as any other answer that is none."""

    assert settings.notify_webhook is not None
    # Slack and Mattermost read `<!channel>` as a call to everybody there.
    text = "\n".join([_line(event.title), *event.lines, event.remedy, event.link]).strip()
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, written)
    body = {
        "text": text,
        "event": event.kind,
        "title": _line(event.title),
        "details": event.lines,
        "remedy": event.remedy,
        "link": event.link,
    }
    request = Request(
        settings.notify_webhook.get_secret_value(),
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "User-Agent": "fashion-assets"},
    )
    with build_opener(NowhereElse).open(request, timeout=TIMEOUT_SECONDS):
        pass


def _mail(settings: Settings, event: Event) -> None:
    """the mail server"""
    import smtplib
    import ssl
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"] = settings.notify_from
    message["To"] = settings.notify_email
    message["Subject"] = f"[fashion_assets] {_line(event.title)}"
    message.set_content(
        "\n".join([_line(event.title), "", *event.lines, "", event.remedy, event.link]).strip() + "\n"
    )
    place = urlsplit(settings.smtp_url.get_secret_value() if settings.smtp_url else "smtp://localhost:25")
    encrypted = place.scheme == "smtps"
    connect = smtplib.SMTP_SSL if encrypted else smtplib.SMTP
    port = place.port or (465 if encrypted else 587)
    with connect(place.hostname or "localhost", port, timeout=TIMEOUT_SECONDS) as server:
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
            encrypted = True
        if place.username is not None:
            if not encrypted:
                raise smtplib.SMTPNotSupportedError(
                    "it offers no encryption, so the password is kept from it"
                )
            server.login(unquote(place.username), unquote(place.password or ""))
        server.send_message(message)


def _line(text: str) -> str:
    """What fits into one line, and does nothing but say something."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]} …"
