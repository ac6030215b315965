# Copyright 2026 the kikuchipy-spacegroup developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one server, and no other, for JSON within a limited time."""

from collections.abc import Callable, Mapping
import json
import queue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from kikuchipy_spacegroup.phases._entry import Problem

if TYPE_CHECKING:
    import requests

_USER_AGENT = "kikuchipy-spacegroup"
_MAX_BYTES = 2**26
_CHUNK = 2**16
_MAX_REDIRECTS = 5


class ServerError(Exception):
    """No answer, or one that cannot be used.

    Parameters
    ----------
    kind
        One of ``OF_SOURCES``.
    message
        What is wrong.
    status
        Status of HTTP, if there was an answer.
    """

    def __init__(self, kind: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status

    def problem(self, address: str) -> Problem:
        """Problem to tell of.

        Parameters
        ----------
        address
            What was asked for.
        """
        return Problem(address, self.kind, str(self))


class Server:
    """A server that is given a limited time for all its answers together.

    Parameters
    ----------
    url
        Base URL. Nothing is sent to another host or port than its.
    timeout
        Time in seconds.

    Notes
    -----
    Timeouts of sockets hold for each packet only, and none holds for
    names of hosts. So answers are waited for in another thread, which is
    left alone when time is up.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout
        self.remaining = timeout

    def get(
        self,
        url: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        at_most: float = float("inf"),
    ) -> dict[str, Any]:
        """JSON object at an address.

        Parameters
        ----------
        url
            Address, absolute or relative to the base URL.
        parameters
            Parameters of the query.
        at_most
            Time in seconds that this answer may take.

        Returns
        -------
        answer
            JSON object.

        Raises
        ------
        ServerError
            If there is no answer in time, or it is no JSON object.
        """
        start = monotonic()
        seconds = min(self.remaining, at_most)
        try:
            body = _within(seconds, lambda: self._download(url, parameters, seconds))
        finally:
            self.remaining -= monotonic() - start
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ServerError(
                "page", f"the answer is no JSON but begins with {body[:60]!r}: {error}"
            ) from error
        if not isinstance(answer, dict):
            raise ServerError(
                "page", f"the answer is no JSON object but {type(answer).__name__}"
            )
        return answer

    def own(self, url: str) -> str:
        """Address on this server, or an error if it is on another one.

        Parameters
        ----------
        url
            Address, absolute or relative to the base URL.

        Returns
        -------
        url
            Absolute address, with the protocol and port of the base URL.

        Raises
        ------
        ServerError
            If it is on another host.
        """
        try:
            address, base = urlsplit(urljoin(f"{self.url}/", url)), urlsplit(self.url)
            same = address.hostname == base.hostname
        except ValueError as error:
            raise ServerError("page", f"{url!r} is no address: {error}") from error
        if not same:
            raise ServerError(
                "page",
                f"it leads to {address.hostname!r}, which is not asked, as it is another "
                "server. Give its address as source if it is trusted",
            )
        # Servers behind others may not know how they were reached
        return address._replace(scheme=base.scheme, netloc=base.netloc).geturl()

    def _download(
        self,
        url: str,
        parameters: Mapping[str, str | int] | None,
        seconds: float,
    ) -> bytes:
        """Answer to a request, redirected within the server at most."""
        import requests

        deadline = monotonic() + seconds
        try:
            with requests.Session() as session:
                session.headers["User-Agent"] = _USER_AGENT
                # Without passwords that may be kept for the host
                session.auth = lambda request: request
                for _ in range(_MAX_REDIRECTS):
                    response = session.get(
                        self.own(url),
                        params=parameters,
                        timeout=max(deadline - monotonic(), 1e-3),
                        allow_redirects=False,
                        stream=True,
                    )
                    if not response.is_redirect:
                        return _read(response, deadline)
                    # The new address has the parameters
                    url, parameters = urljoin(url, response.headers["Location"]), None
                    response.close()
        except (requests.RequestException, OSError) as error:
            late = isinstance(error, requests.Timeout) or monotonic() > deadline - 0.1
            kind = "timeout" if late else "provider"
            # Without the whole address, where there is a reason
            reason = getattr(next(iter(error.args), None), "reason", None) or error
            raise ServerError(kind, f"no answer: {reason}") from error
        raise ServerError("provider", f"it was redirected {_MAX_REDIRECTS} times")


def _read(response: "requests.Response", deadline: float) -> bytes:
    """Body of an answer, which may be neither too long nor too slow."""
    parts, size = [], 0
    for part in response.iter_content(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > _MAX_BYTES:
            raise ServerError("page", f"the answer is larger than {_MAX_BYTES} bytes")
        if monotonic() > deadline:
            raise ServerError("timeout", "the answer did not end in time")
    body = b"".join(parts)
    if response.status_code != 200:
        raise ServerError(
            "provider",
            f"status {response.status_code} ({response.reason}){_details(body)}",
            response.status_code,
        )
    return body


def _details(body: bytes) -> str:
    """What an answer says of an error, if it is one of JSON API."""
    try:
        errors = json.loads(body)["errors"]
        return f": {str(errors[0].get('detail') or errors[0].get('title'))[:300]}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """Result of a function, or an error if it takes too long."""
    results: queue.Queue = queue.Queue()

    def run() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:
            results.put((None, error))

    if seconds > 0:
        Thread(target=run, daemon=True, name="search_structures").start()
    try:
        result, error = results.get(timeout=max(seconds, 0))
    except queue.Empty:
        raise ServerError("timeout", "time was up before there was an answer") from None
    if error is not None:
        raise error
    return result
