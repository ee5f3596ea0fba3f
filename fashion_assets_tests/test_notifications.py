"""People are told, by real servers, and nothing fails where they cannot be."""

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from fashion_assets.notifications import LINE_CHARACTERS, LINES, REMEDIES, Event, Kind, notify
from fashion_assets.origins import SettingsError
from fashion_assets.outcome import MigrationResult, telling
from fashion_assets.settings import Settings
from fashion_assets.warehouse.locks import Busy
from fashion_assets_tests.receivers import MailServer, Webhook, mail_server, webhook

EVENT = Event(
    "batch_failed",
    "1 of 3 batches failed",
    ["shop-00002: check rejection_rate_is_bearable failed (0.4)"],
    "http://127.0.0.1:3000/runs/1",
)


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    with webhook() as hook:
        monkeypatch.setenv("FASHION_ASSETS_NOTIFY_WEBHOOK", hook.url)
        yield hook


@pytest.fixture
def mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("FASHION_ASSETS_NOTIFY_EMAIL", "shop@example.org, ops@example.org")
    with mail_server() as mail:
        monkeypatch.setenv("FASHION_ASSETS_SMTP_URL", f"smtp://127.0.0.1:{mail.port}")
        yield mail


def test_a_webhook_is_sent_what_slack_reads_and_what_programs_do(hook: Webhook):
    notify(Settings(), EVENT)
    assert hook.received == [
        {
            "text": f"{EVENT.title}\n{EVENT.details[0]}\n{EVENT.remedy}\n{EVENT.link}",
            "event": "batch_failed",
            "title": EVENT.title,
            "details": [EVENT.details[0]],
            "remedy": EVENT.remedy,
            "link": EVENT.link,
        }
    ]


def test_an_email_is_sent_to_everybody_named(mail: MailServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_NOTIFY_FROM", "Fashion assets <assets@example.org>")
    notify(Settings(), Event("batch_failed", "größer\nBcc: evil@example.org", ["."], "http://x/1"))
    (message,) = mail.messages
    assert mail.senders == ["assets@example.org"]
    assert mail.recipients == ["shop@example.org", "ops@example.org"]
    assert message["Subject"] == "[fashion_assets] größer Bcc: evil@example.org" and message["Bcc"] is None
    text = message.get_content().splitlines()  # type: ignore[attr-defined]
    assert text == ["größer Bcc: evil@example.org", "", ".", "", EVENT.remedy, "http://x/1"]


def test_every_kind_of_message_says_what_to_do():
    assert set(REMEDIES) == set(get_args(Kind))
    for remedy in REMEDIES.values():
        assert re.search(r"fashion-assets [a-z]+", remedy), remedy


def test_what_listings_say_is_told_shortened_and_does_nothing(hook: Webhook):
    hostile = "<!channel> & \x1b[31mred\x07"
    notify(Settings(), Event("release_refused", hostile, [hostile, "x" * 10_000, *map(str, range(100))]))
    (sent,) = hook.received
    assert sent["title"] == "<!channel> & [31mred"
    assert sent["text"].splitlines()[0] == "&lt;!channel&gt; &amp; [31mred"
    assert len(sent["details"]) == LINES + 1 and sent["details"][-1] == f"and {102 - LINES} more"
    assert max(map(len, sent["details"])) <= LINE_CHARACTERS + 2


def test_without_receivers_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    notify(Settings(), EVENT)


@pytest.mark.parametrize("wrong", ["status", "redirect", "nobody there", "no http"])
def test_what_hinders_a_webhook_is_logged_without_its_secret(
    hook: Webhook, wrong: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    if wrong == "status":
        hook.status = 500
    elif wrong == "redirect":
        hook.status, hook.location = 302, hook.url
    with socket.create_server(("127.0.0.1", 0)) as closed:
        if wrong == "nobody there":
            monkeypatch.setenv(
                "FASHION_ASSETS_NOTIFY_WEBHOOK", f"http://127.0.0.1:{closed.getsockname()[1]}/secret-token"
            )
            closed.close()
        if wrong == "no http":
            with mail_server() as mail:
                monkeypatch.setenv(
                    "FASHION_ASSETS_NOTIFY_WEBHOOK", f"http://127.0.0.1:{mail.port}/secret-token"
                )
                notify(Settings(), EVENT)
        else:
            notify(Settings(), EVENT)
    assert len(hook.received) == (1 if wrong in ("status", "redirect") else 0)  # and no second question
    assert f"nobody was told that {EVENT.title}: the webhook: " in caplog.text
    assert "secret-token" not in caplog.text


def test_what_hinders_an_email_is_logged_and_the_webhook_is_told_all_the_same(
    hook: Webhook, mail: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    # A password is not sent where anybody could read it.
    monkeypatch.setenv("FASHION_ASSETS_SMTP_URL", f"smtp://someone:pass%40word@127.0.0.1:{mail.port}")
    notify(Settings(), EVENT)
    assert "offers no encryption" in caplog.text and "pass" not in caplog.text.replace("password", "")
    assert mail.messages == [] and not any("AUTH" in command for command in mail.commands)
    assert len(hook.received) == 1

    with mail_server(refuses="@") as refusing:
        monkeypatch.setenv("FASHION_ASSETS_SMTP_URL", f"smtp://127.0.0.1:{refusing.port}")
        notify(Settings(), EVENT)
    assert "the mail server" in caplog.text and "nobody of that name" in caplog.text
    assert len(hook.received) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFY_WEBHOOK", "ftp://host/secret-token"),
        ("NOTIFY_WEBHOOK", "secret-token"),
        ("NOTIFY_WEBHOOK", "https://"),
        ("SMTP_URL", "https://host/secret-token"),
        ("SMTP_URL", "smtp://user:secret-token@host:port"),
    ],
)
def test_a_url_that_is_none_is_refused_without_being_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv("FASHION_ASSETS_HOME", str(tmp_path))
    monkeypatch.setenv(f"FASHION_ASSETS_{name}", value)
    with pytest.raises(SettingsError) as refused:
        Settings()
    assert "not a URL that begins with" in str(refused.value) and "secret-token" not in str(refused.value)


def told(settings: Settings, result: MigrationResult) -> None:
    with telling(settings, dry_run=False) as done:
        done(result)


def test_a_command_tells_what_waits_for_a_person(
    hook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = Settings()
    report = str(settings.reports / "fashion_sota_r0002.html")
    well = MigrationResult(release="fashion_sota_r0002", live=True, products=7, report=report)
    told(settings, well)
    assert hook.received == []
    told(
        settings,
        MigrationResult(
            release="fashion_sota_r0002",
            report=report,
            batches_run=3,
            failed_batches={"shop-00002": "check rejection_rate_is_bearable failed (0.4)"},
            refusal="fashion_sota_r0002 is not promoted: 1 criteria fail\n  every_batch_is_loaded (B5): 1 of 2",
            newly_stale=["source shop has not changed since 2026-01-01"],
        ),
    )
    batch, release, stale = hook.received
    assert (batch["event"], batch["title"]) == ("batch_failed", "1 of 3 batches failed and wait for a person")
    assert batch["link"].endswith("/locations/fashion_assets/jobs/migrate_batch")
    assert (release["event"], release["title"]) == (
        "release_refused",
        "fashion_sota_r0002 is not promoted: 1 criteria fail",
    )
    assert release["details"] == ["every_batch_is_loaded (B5): 1 of 2"]
    assert release["link"] == "http://127.0.0.1:3000/fashion-assets/reports/fashion_sota_r0002.html"
    assert stale["event"] == "source_stale"

    # A candidate somebody asked for is no news; one that is left to a person is.
    waiting = MigrationResult(release="fashion_sota_r0002", products=7, report=report)
    told(settings, waiting)
    assert len(hook.received) == 3
    monkeypatch.setenv("FASHION_ASSETS_PROMOTE_AUTOMATICALLY", "false")
    told(Settings(), waiting)
    assert hook.received[3]["event"] == "release_waits"
    assert "fashion-assets promote fashion_sota_r0002" in hook.received[3]["title"]


def test_a_command_that_fails_tells_why_and_one_that_finds_another_at_it_does_not(hook: Webhook):
    with pytest.raises(OSError), telling(Settings(), dry_run=False):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/shop")
    (sent,) = hook.received
    (why,) = sent["details"]
    assert sent["event"] == "run_failed"
    assert (
        why.startswith("No space left on device where /data/shop is") and "run the same command again" in why
    )
    for error in (Busy("another"), KeyboardInterrupt()):
        with pytest.raises(type(error)), telling(Settings(), dry_run=False):
            raise error
    with pytest.raises(OSError), telling(Settings(), dry_run=True):
        raise OSError("of a dry run")
    assert len(hook.received) == 1


def test_a_run_with_nothing_to_tell_imports_nothing_to_send_with(tmp_path: Path):
    script = (
        "import sys, fashion_assets.notifications\n"
        "assert not {'smtplib', 'urllib.request', 'http.client'} & set(sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert loaded.returncode == 0, loaded.stderr
