"""The web pages that Google Drive answers with instead of a file: what they mean, and their download form."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

PAGE_LIMIT = 1 << 20  # bytes of a web page that are looked at


class Refused(Exception):
    """This source does not give the file, and asking again is useless; another source may."""


def looks_like_page(head: bytes) -> bool:
    """Whether a file's first bytes are those of HTML or XML."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class _Page(HTMLParser):
    """What matters in a web page: title, Drive's error text, and Drive's form with its hidden inputs."""

    ERROR_CLASS, FORM_IDS = "uc-error-subcaption", ("download-form", "downloadForm")

    def __init__(self, text: str):
        super().__init__()
        self.title = self.error = ""
        self.form: dict[str, str | None] | None = None
        self.inputs: dict[str, str] = {}
        self._reading = self._until = ""  # the attribute that text goes to, and the tag that ends it
        self._in_form = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = dict(attrs)
        if tag == "form":
            self._in_form = self.form is None and a.get("id") in self.FORM_IDS
            self.form = a if self._in_form else self.form
        elif tag == "input" and self._in_form and (a.get("type") or "").lower() == "hidden" and a.get("name"):
            self.inputs[a["name"]] = a.get("value") or ""
        elif tag == "title":
            self._reading, self._until = "title", tag
        elif self.ERROR_CLASS in (*(a.get("class") or "").split(), a.get("id")):
            self._reading, self._until = "error", tag

    def handle_endtag(self, tag: str) -> None:
        self._in_form = self._in_form and tag != "form"
        if tag == self._until:
            self._reading = self._until = ""

    def handle_data(self, data: str) -> None:
        if self._reading:
            setattr(self, self._reading, getattr(self, self._reading) + data)


def answer_to(response: requests.Response, text: str) -> dict[str, Any]:
    """The request that a page's download form makes; Refused, with what the page means, if it has none."""
    page = _Page(text)
    if page.form is not None:
        method = (page.form.get("method") or "get").upper()
        where = urljoin(response.url, page.form.get("action") or "")
        return {"method": method, "url": where, "params" if method == "GET" else "data": page.inputs}
    visited = " ".join(r.url for r in [*response.history, response])
    if page.error:
        meaning = (
            f'Google Drive refuses ("{quote(page.error)}"): usually its daily quota for this file is used up'
        )
    elif "accounts.google.com" in visited or "ServiceLogin" in visited + text:
        meaning = "Google Drive wants a login: it does not give this file to programs at present"
    else:
        meaning = f'sends a web page ("{quote(page.title)}") instead of the file'
    raise Refused(meaning if response.ok else f"HTTP {response.status_code}, {meaning}")


def quote(text: str) -> str:
    """A server's words on a short line, without what could steer a terminal."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:100]
