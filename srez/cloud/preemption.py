"""Whether a rented machine is about to be taken away, from its cloud's metadata server.

PREEMPTION=gcp|aws|azure python3 -m srez.cloud.preemption    asks once and prints the answer

Sources: Compute Engine's "Create and use preemptible VMs" (instance/preempted), EC2's "Spot Instance
interruption notices" and "Use IMDSv2", Azure's "Scheduled Events for Linux VMs" (api-version 2020-07-01).
"""

import contextlib
import http.client
import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable

Ask = Callable[..., tuple[int, str]]  # (path, headers, method="GET") -> (HTTP status, text)

TIMEOUT = 5.0  # seconds for one answer
NO_ANSWER = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError)


class Google:
    """Compute Engine: spot and preemptible instances, 30 seconds ahead."""

    address, first_timeout = "http://metadata.google.internal", TIMEOUT

    def notice(self, ask: Ask) -> str:
        """The notice in words, or nothing. Raises one of NO_ANSWER."""
        path = "/computeMetadata/v1/instance/preempted"
        return "preempted" if expect(ask(path, {"Metadata-Flavor": "Google"})).strip() == "TRUE" else ""


class Amazon:
    """EC2: spot instances, two minutes ahead. Version 2 of the service: every question carries a token."""

    address, first_timeout = "http://169.254.169.254", TIMEOUT
    _token = ""

    def notice(self, ask: Ask) -> str:
        """The notice in words, or nothing. Raises one of NO_ANSWER."""
        status, text = self._action(ask)
        if status == 401:  # the token is too old
            self._token = ""
            status, text = self._action(ask)
        if status == 404:  # no interruption is planned
            return ""
        return expect((status, text)).strip() or "interruption"  # {"action": ..., "time": ...}

    def _action(self, ask: Ask) -> tuple[int, str]:
        if not self._token:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}  # the longest that is granted
            self._token = expect(ask("/latest/api/token", headers, "PUT")).strip()
        return ask("/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": self._token})


class Azure:
    """Azure: spot machines, 30 seconds ahead, and members of scale sets that are about to be deleted.

    Reboot and Redeploy are no notices: they come ten minutes or more ahead and may be called off, the machine
    comes back, and its shutdown sends SIGTERM. Freeze lasts seconds.
    """

    # the first question switches the events on, which takes up to two minutes
    address, first_timeout = "http://169.254.169.254", 130.0
    headers: dict[str, str] = {"Metadata": "true"}  # noqa: RUF012  (never changed)
    events = ("Preempt", "Terminate")
    _name = ""

    def notice(self, ask: Ask) -> str:
        """The notice in words, or nothing. Raises one of NO_ANSWER."""
        found = json.loads(expect(ask("/metadata/scheduledevents?api-version=2020-07-01", self.headers)))
        events = [event for event in found["Events"] if event["EventType"] in self.events]
        if not events:
            return ""
        name = self._own_name(ask)
        # a group's events reach all of its machines; where no name is known it is better to save than not
        ours = [e for e in events if not name or name in map(str.casefold, e.get("Resources") or [name])]
        return ", ".join(f"{e['EventType']} {e.get('NotBefore', '')}".strip() for e in ours)

    def _own_name(self, ask: Ask) -> str:
        path = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
        if not self._name:
            with contextlib.suppress(*NO_ANSWER):  # a notice without a name is still a notice
                self._name = expect(ask(path, self.headers)).strip().casefold()
        return self._name


CLOUDS: dict[str, type[Google] | type[Amazon] | type[Azure]] = {"gcp": Google, "aws": Amazon, "azure": Azure}


def expect(reply: tuple[int, str]) -> str:
    """The text of a reply with status 200. Raises ValueError for another."""
    status, text = reply
    if status != 200:
        raise ValueError(f"HTTP status {status}")
    return text


def asker(base: str, timeout: float) -> Ask:
    """Questions to a metadata server, each answered within `timeout` seconds; never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(base.rstrip("/") + path, headers=headers, method=method)
        try:
            with opener.open(request, timeout=timeout) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    return ask


class Watcher(threading.Thread):
    """Asks every `period` seconds until there is a notice. A thread: it ends with the process that asks.

    `say` is called once if the server does not answer; the questions go on.
    """

    def __init__(self, cloud: str, base: str, period: float, say: Callable[[str], None]):
        super().__init__(daemon=True)
        self.notice = ""
        self._cloud, self._source = cloud, CLOUDS[cloud]()
        self._base, self._period, self._say = base or self._source.address, period, say

    def run(self) -> None:
        ask, told = asker(self._base, self._source.first_timeout), False
        while not self.notice:
            try:
                self.notice = self._source.notice(ask)
                ask = asker(self._base, TIMEOUT)
            except NO_ANSWER as error:
                if not told:
                    self._say(
                        f"PREEMPTION={self._cloud}: no answer from {self._base} ({error}); "
                        "the training goes on without notices, and the questions too"
                    )
                told = True
            time.sleep(self._period)


def main() -> int:
    """Ask once; 0 where there was an answer."""
    cloud = os.environ.get("PREEMPTION", "")
    if cloud not in CLOUDS:
        print(f"PREEMPTION='{cloud}': must be one of {', '.join(CLOUDS)}", file=sys.stderr)
        return 2
    source = CLOUDS[cloud]()
    base = os.environ.get("METADATA_URL") or source.address
    try:
        print(f"{cloud}: {source.notice(asker(base, source.first_timeout)) or 'no notice'}")
    except NO_ANSWER as error:
        print(f"{cloud}: no answer from {base} ({error})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
