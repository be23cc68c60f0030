"""印刷间: draws pages and fragments from the templates, each dressed for the place where it is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

import anyio.to_thread
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.channels import pages
from bot.channels.http import Library, WebError, framed_by
from bot.config import Settings
from knowledge.model import LibraryState

SIZE = "bianmin_size"  # cookie: "large" for 大字版
FRAGMENT = "x-bianmin-fragment"  # sent by our script: answer with the card only

_Result = TypeVar("_Result")
_FRAMED = ("/chat", "/feedback")  # pages that may stand in a frame, and what is below them


async def in_thread(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Run blocking work in a worker thread."""
    return await anyio.to_thread.run_sync(work, *arguments)


def place_of(request: Request) -> pages.Place:
    """Where the answer to this request will be shown."""
    path = request.url.path
    if path == "/kiosk" or path.startswith("/kiosk/"):
        return pages.KIOSK
    if request.query_params.get("embed") == "1" and path.startswith(_FRAMED):
        return pages.EMBED
    return pages.SITE


class Press:
    """印刷间: the templates, the static files and the headers that belong to a page."""

    def __init__(self, settings: Settings, library: Library) -> None:
        self._library = library
        self._framed = framed_by(settings.web.embed_origins)
        self.static = pages.static_files()
        self._site = pages.environment(settings, self.static)
        self._kiosk = pages.environment(settings, self.static, kiosk=True)

    async def page(
        self, request: Request, template: str, *, place: pages.Place | None = None, **values: object
    ) -> Response:
        """A whole page with head and foot. ``place`` adds what the forms carry; else it follows from the request."""
        state = await in_thread(self._library.state)
        return self._draw(request, template, place or place_of(request), state, values)

    def fragment(self, template: str, place: pages.Place, **values: object) -> Response:
        """A card for our script."""
        drawn = self._of(place).get_template(template).render(place=place, **values)
        return HTMLResponse(drawn, headers={"Cache-Control": "no-store"})

    async def error(self, request: Request, error: WebError) -> Response:
        """What is wrong and what to do next, as a page or (for our script) as a card."""
        if FRAGMENT in request.headers:
            response = self.fragment("error_card.html.j2", place_of(request), error=error)
        else:
            response = await self.page(request, "error.html.j2", error=error)
        return _marked(response, error)

    def last_resort(self, request: Request, error: WebError) -> Response:
        """The same without asking any other part of the house."""
        return _marked(self._draw(request, "error.html.j2", place_of(request), None, {"error": error}), error)

    def courteous(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """``endpoint`` with every :class:`WebError` answered by a page (or a card, for our script)."""

        @wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except WebError as error:
                return await self.error(request, error)

        return answer

    def _of(self, place: pages.Place) -> Environment:
        return self._kiosk if place.name == "kiosk" else self._site

    def _draw(
        self,
        request: Request,
        template: str,
        place: pages.Place,
        state: LibraryState | None,
        values: dict[str, object],
    ) -> Response:
        here = request.url.path + (f"?{request.url.query}" if request.method == "GET" and request.url.query else "")
        # A frame keeps no cookie: there the size stands in the address.
        chosen = request.query_params.get("size") if place.name == "embed" else request.cookies.get(SIZE)
        page = self._of(place).get_template(template)
        drawn = page.render(state=state, large=chosen == "large", here=here, place=place, **values)
        # no-cache: a page may be kept but must be asked for again, so 大字版 and new documents show at once.
        headers = {"Cache-Control": "no-cache, private", "Vary": "Cookie"}
        if place.name == "kiosk":
            headers = {"Cache-Control": "no-store"}
        elif place.name == "embed":
            headers |= self._framed
        return HTMLResponse(drawn, headers=headers)


def _marked(response: Response, error: WebError) -> Response:
    response.status_code = error.status
    response.headers.update(error.headers)
    return response
