"""The HTTP client below the OpenAI SDK: requests go straight to aiohttp.

The SDK takes any `httpx2.AsyncClient`. Its own two (httpx2's pool, and one that puts aiohttp under httpx2) merge URLs,
headers and cookies, look for redirects and wrap streams for every request, which costs more than the request itself.
An API call needs none of that; see benchmarks/calls.py for what each costs.
"""

from __future__ import annotations

import urllib.request
from typing import Any

import aiohttp
import httpx2

NOTHING = httpx2.ByteStream(b"")


class _Reply(httpx2.Response):
    """A reply whose body is there, whole and decoded; httpx2 would take it through its streams and decoders first."""

    def __init__(self, status: int, headers: Any, body: bytes, request: httpx2.Request) -> None:
        super().__init__(status, headers=headers, stream=NOTHING, request=request)
        self.body = body
        self.is_closed = self.is_stream_consumed = True

    @property
    def content(self) -> bytes:
        return self.body

    def read(self) -> bytes:
        return self.body

    async def aread(self) -> bytes:
        return self.body


class AiohttpClient(httpx2.AsyncClient):
    """Sends whole requests and reads whole replies of one API; `timeout_s` is for all of one request.

    Redirects are not followed: a key must not travel where nobody sent it. A proxy named by the environment is used.
    Raises what the SDK knows from httpx2: `ReadTimeout`, `ConnectError`, `ReadError`.
    """

    def __init__(self, base_url: str, timeout_s: float) -> None:
        super().__init__()
        self.api_url = httpx2.URL(base_url)
        self.timeout_s = timeout_s
        self.session: aiohttp.ClientSession | None = None
        self.urls: dict[str, httpx2.URL] = {}

    def build_request(self, method: str, url: httpx2.URL | str, **parts: Any) -> httpx2.Request:
        """Return the request with nothing merged into it: the SDK gives whole URLs and all headers."""
        address = str(url)
        if address not in self.urls:
            self.urls[address] = httpx2.URL(address)
        content = parts.get("content") or b""
        return httpx2.Request(
            method,
            self.urls[address],
            headers=parts.get("headers"),
            stream=httpx2.ByteStream(content),
            extensions={"url": address, "content": content, "headers": parts.get("headers")},
        )

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send a request that `build_request` made and return the whole reply."""
        if self.session is None:
            self.session = self._session()
        try:
            async with self.session.request(
                request.method,
                request.extensions["url"],
                headers=request.extensions["headers"],
                data=request.extensions["content"],
                allow_redirects=False,
            ) as reply:
                body = await reply.read()
        except TimeoutError as err:
            raise httpx2.ReadTimeout(f"no whole reply within {self.timeout_s:g} s", request=request) from err
        except aiohttp.ClientConnectorError as err:
            raise httpx2.ConnectError(str(err), request=request) from err
        except (aiohttp.ClientError, ConnectionError) as err:
            raise httpx2.ReadError(str(err) or type(err).__name__, request=request) from err
        return _Reply(reply.status, reply.raw_headers, body, request)

    async def aclose(self) -> None:
        """Close the connections."""
        if self.session is not None:
            await self.session.close()
        await super().aclose()

    def _session(self) -> aiohttp.ClientSession:
        # aiohttp's own `trust_env` looks the proxy and ~/.netrc up for every request, in half a millisecond.
        bypass = urllib.request.proxy_bypass(self.api_url.host)
        return aiohttp.ClientSession(
            # No limit of connections: whoever asks limits the calls under way.
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx2.create_ssl_context()),
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=None if bypass else urllib.request.getproxies().get(self.api_url.scheme),
        )
