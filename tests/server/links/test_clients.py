"""The kind of a client, decided from the method and the headers of its request."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from jupyter_pdflow.server.links.clients import classify

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
OLD_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 12_0 like Mac OS X) AppleWebKit/605 Safari/604.1"
SHELL = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041"
CUBOT = "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 Chrome/140 Mobile"
SLACK = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SCRIPT = "Mozilla/5.0 (compatible; Google-Apps-Script; beanserver; id: UAEmdDd)"
HTML = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
OPENS = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "User-Agent": FIREFOX}


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        ("GET", {}, "program"),
        ("GET", {"User-Agent": "curl/8.14.1", "Accept": "*/*"}, "program"),
        ("GET", {"User-Agent": "python-requests/2.32"}, "program"),
        ("GET", {"User-Agent": SHELL}, "program"),
        ("GET", {"User-Agent": "Boto3/1.40 md/Botocore#1.40 ua/2.1"}, "program"),
        ("GET", {"User-Agent": "bottle-client/1.0 botanic spidermonkey previewing"}, "program"),
        ("GET", {"User-Agent": CUBOT}, "page"),
        ("GET", {"User-Agent": "node", "Sec-Fetch-Mode": "cors"}, "program"),
        ("GET", {"User-Agent": FIREFOX, "Sec-Fetch-Mode": "cors", "Accept": "*/*"}, "program"),
        ("DELETE", {"User-Agent": "curl/8.14.1"}, "program"),
        ("PURGE", {}, "program"),
        ("GET", OPENS, "page"),
        ("GET", {"Sec-Fetch-Dest": "document"}, "page"),
        ("GET", {"User-Agent": OLD_PHONE}, "page"),
        ("GET", {"User-Agent": "Lynx/2.9", "Accept": "TEXT/HTML"}, "page"),
        ("GET", {**OPENS, "User-Agent": FIREFOX + " HeadlessChrome/140"}, "page"),
        ("POST", {**OPENS, "Sec-Fetch-User": "?1"}, "form"),
        ("POST", {"User-Agent": OLD_PHONE, "Accept": HTML}, "form"),
        ("POST", {"User-Agent": FIREFOX, "Sec-Fetch-Mode": "cors"}, "program"),
        ("POST", {"User-Agent": OLD_PHONE, "Accept": "application/json"}, "program"),
        ("HEAD", {}, "safe"),
        ("HEAD", OPENS, "safe"),
        ("OPTIONS", {"Origin": "https://elsewhere.example"}, "safe"),
        ("GET", {**OPENS, "Sec-Purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {**OPENS, "Purpose": "prefetch"}, "prefetch"),
        ("GET", {**OPENS, "X-Purpose": "preview"}, "prefetch"),
        ("GET", {**OPENS, "X-Moz": "prefetch"}, "prefetch"),
    ],
)
def test_browsers_and_programs(method: str, headers: dict[str, str], kind: str) -> None:
    assert classify(method, HTTPHeaders(headers)) == kind


@pytest.mark.parametrize("agent", [SLACK, GOOGLE, SCRIPT, "Zapier", "WhatsApp/2.23.20.0"])
def test_no_bot_acts_by_get(agent: str) -> None:
    assert classify("GET", HTTPHeaders({"User-Agent": agent})) == "bot"
    assert classify("GET", HTTPHeaders({"User-Agent": agent, "Accept": HTML})) == "bot"


@pytest.mark.parametrize(
    "agent",
    [
        "Nextcloud Server Crawler",
        "Nextcloud-Server-Crawler/34.0.0",
        "Zoombot/1.0",
        "LinkPreview/1.0",
        "made-up-bot",
        "MadeUpBotService",
        "made_up_bots/2",
        "Our Mail Scanner 3",
        "site-spider (+https://example.org)",
        "URLPREVIEWER-PREVIEW",
        "Mozilla/5.0 (compatible; madeupbot/1.0)",
        "x" * 900 + " crawler",
    ],
)
def test_a_client_that_calls_itself_a_bot_does_not_act_by_get(agent: str) -> None:
    assert classify("GET", HTTPHeaders({"User-Agent": agent})) == "bot"
    assert classify("GET", HTTPHeaders({**OPENS, "User-Agent": agent})) == "bot"
    assert classify("POST", HTTPHeaders({"User-Agent": agent})) == "program"


@pytest.mark.parametrize("agent", [SLACK, GOOGLE, "WhatsApp/2.23.20.0"])
def test_reading_bots_never_act(agent: str) -> None:
    assert classify("POST", HTTPHeaders({"User-Agent": agent})) == "bot"


@pytest.mark.parametrize(
    "agent", [SCRIPT, "Zapier", "Stripe/1.0 (+https://stripe.com/docs/webhooks)", "TwilioProxy/1.1"]
)
def test_services_that_call_back_act_by_post(agent: str) -> None:
    assert classify("POST", HTTPHeaders({"User-Agent": agent})) == "program"


def test_a_click_in_an_app_with_its_bots_user_agent_acts() -> None:
    headers = {**OPENS, "User-Agent": f"{OLD_PHONE} WhatsApp", "Sec-Fetch-User": "?1"}
    assert classify("POST", HTTPHeaders(headers)) == "form"


def test_a_long_user_agent_is_cut() -> None:
    assert classify("GET", HTTPHeaders({"User-Agent": "a" * 60_000})) == "program"
