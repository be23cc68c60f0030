"""网站: the citizen's pages: front page, chat, documents, the list by element.

Everything works by plain forms; one small script makes the chat smoother. The conversation hangs on a random
first-party cookie; the register keeps only its pseudonym. A second cookie lists the entries of this conversation,
and an entry is drawn again only if the register says that it belongs to it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import wraps
from hashlib import sha256
from typing import TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from bot.channels import pages
from bot.channels.api import api_routes, filters_from
from bot.channels.http import (
    SECURITY_HEADERS,
    Book,
    Library,
    RateLimiter,
    Reception,
    SecurityHeaders,
    WebError,
    answered,
    clean_text,
    client_address,
    pseudonym,
    read_form,
    require_same_origin,
)
from bot.config import Settings
from knowledge.errors import UnknownDocument
from knowledge.model import LibraryState, LinkKind, Question
from register.errors import UnknownEntry
from register.inquiry import Channel, Entry, Inquiry, Reply, Source

TALK = "bianmin_talk"  # random id of the conversation
ENTRIES = "bianmin_entries"  # its entry numbers, oldest first
SIZE = "bianmin_size"  # "large" for 大字版
REMEMBERED = 8  # cards drawn again on reload
TALK_SECONDS = 12 * 3600  # a shared phone forgets over night
SIZE_SECONDS = 365 * 24 * 3600
FRAGMENT = "x-bianmin-fragment"  # sent by our script: answer with the card only

_PROGRAMS = ("/api/", "/wechat", "/telegram")  # doors of programs: errors as JSON
_NOWHERE = "没有这个网页，可能网址不完整。您可以从下面重新开始。"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_Result = TypeVar("_Result")


def routes(settings: Settings, reception: Reception, library: Library, book: Book) -> list[Route]:
    """Every route of the citizen's web door, the public interface included."""
    limiter = RateLimiter(settings.server.asks_per_minute)
    door = WebDoor(settings, reception, library, book, limiter)
    middleware = [Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=1024)]

    def page(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        return Route(path, door.courteous(endpoint), methods=methods or ("GET",), middleware=middleware)

    return [
        page("/", door.front),
        page("/chat", door.chat),
        page("/chat", door.ask, "POST"),
        page("/chat/clear", door.clear, "POST"),
        page("/feedback", door.feedback, "POST"),
        page("/display", door.display, "POST"),
        page("/p/{document}", door.document),
        page("/browse", door.browse),
        page("/static/{stamp}/{name}", door.static),
        page("/favicon.ico", door.icon),
        *api_routes(settings, reception, library, limiter),
    ]


def exception_handlers(settings: Settings, library: Library) -> dict[int | type[Exception], ExceptionHandler]:
    """For the application: courteous pages (JSON for programs) where no route answers or one has failed."""
    press = Press(settings, library)

    async def refused(request: Request, exception: Exception) -> Response:
        status = getattr(exception, "status_code", 404)
        code, message = ("method_not_allowed", "这个地址不接受这种请求。") if status == 405 else ("not_found", _NOWHERE)
        error = WebError(status, code, message, dict(getattr(exception, "headers", None) or {}))
        response = error.as_json() if request.url.path.startswith(_PROGRAMS) else await press.error(request, error)
        response.headers.update(SECURITY_HEADERS)
        return response

    async def failed(request: Request, exception: Exception) -> Response:
        # The server logs the exception itself; nobody outside reads a word of it.
        error = WebError(500, "failed", "系统出了点问题，没有办成。请过几分钟再试，或者打电话问。")
        response = error.as_json() if request.url.path.startswith(_PROGRAMS) else press.last_resort(request, error)
        response.headers.update(SECURITY_HEADERS)
        return response

    return {404: refused, 405: refused, Exception: failed}


class Press:
    """印刷间: draws pages and fragments from the templates."""

    def __init__(self, settings: Settings, library: Library) -> None:
        self._library = library
        self.static = pages.static_files()
        self._templates = pages.environment(settings, self.static)

    async def page(self, request: Request, template: str, **values: object) -> Response:
        """A whole page with head and foot."""
        state = await _in_thread(self._library.state)
        return self._draw(request, template, state, values)

    def fragment(self, template: str, **values: object) -> Response:
        """A card for our script."""
        return HTMLResponse(self._templates.get_template(template).render(**values))

    async def error(self, request: Request, error: WebError) -> Response:
        """What is wrong and what to do next, as a page or (for our script) as a card."""
        if FRAGMENT in request.headers:
            response = self.fragment("error_card.html.j2", error=error)
        else:
            response = await self.page(request, "error.html.j2", error=error)
        return _marked(response, error)

    def last_resort(self, request: Request, error: WebError) -> Response:
        """The same without asking any other part of the house."""
        return _marked(self._draw(request, "error.html.j2", None, {"error": error}), error)

    def _draw(self, request: Request, template: str, state: LibraryState | None, values: dict[str, object]) -> Response:
        large = request.cookies.get(SIZE) == "large"
        here = request.url.path + (f"?{request.url.query}" if request.method == "GET" and request.url.query else "")
        page = self._templates.get_template(template).render(state=state, large=large, here=here, **values)
        # no-cache: a page may be kept but must be asked for again, so 大字版 and new documents show at once.
        return HTMLResponse(page, headers={"Cache-Control": "no-cache, private", "Vary": "Cookie"})


class WebDoor:
    """网页入口: the endpoints. It turns requests into calls of the house and results into pages, nothing else."""

    def __init__(
        self, settings: Settings, reception: Reception, library: Library, book: Book, limiter: RateLimiter
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._library = library
        self._book = book
        self._limiter = limiter
        self._press = Press(settings, library)

    # ---- endpoints ----

    async def front(self, request: Request) -> Response:
        """The front page: ask at once, or look around."""
        documents = await _in_thread(self._library.documents)
        listing = pages.browse(documents, filters_from({}), "", 1)
        return await self._press.page(
            request,
            "front.html.j2",
            examples=pages.example_questions(documents),
            shelf=pages.shelf(listing),
            key=_new_key(),
        )

    async def chat(self, request: Request) -> Response:
        """The conversation so far, or a welcome with examples."""
        talk = _valid(request.cookies.get(TALK))
        cards = await _in_thread(self._cards_of, talk, self._entries_of(request)) if talk else []
        response = await self._chat_page(request, cards, draft=clean_text(request.query_params.get("q", ""))[:500])
        self._remember(response, talk or _new_key(), [card.entry for card in cards])
        return response

    async def ask(self, request: Request) -> Response:
        """One question. A repeated submit carries the same key and finds the first answer."""
        require_same_origin(request, self._settings.server.base_url)
        self._limit(request)
        fields = await read_form(request, self._settings.server.body_limit)
        text = clean_text(fields.get("text", ""))
        if not text:
            raise WebError(422, "text_missing", "请先写下您的问题，再点“问”。")
        if len(text.encode()) > self._settings.server.body_limit:
            raise WebError(413, "body_too_large", "内容太长了。请说得短一些，一次问一件事。")
        key = _valid(fields.get("key")) or _new_key()
        cookie = _valid(request.cookies.get(TALK))
        # Without a cookie the key itself names the conversation, so that even then a double submit is one message.
        talk = cookie or key
        inquiry = Inquiry(
            channel=Channel.WEB,
            message_key=sha256(f"{talk}:{key}:{text}".encode()).hexdigest(),
            conversation=pseudonym("web", talk),
            text=text,
            received_at=datetime.now(UTC),
        )
        entry, reply = await answered(self._reception, inquiry)
        entries = [*(e for e in self._entries_of(request) if e != entry), entry][-REMEMBERED:]
        response: Response
        if FRAGMENT in request.headers:
            card = await _in_thread(self._card, entry, text, reply, inquiry.received_at)
            response = self._press.fragment("card.html.j2", card=card)
        elif cookie:  # so that reload and back do not ask again
            response = RedirectResponse(f"/chat#e{entry}", 303)
        else:
            card = await _in_thread(self._card, entry, text, reply, inquiry.received_at)
            response = await self._chat_page(request, [card])
        self._remember(response, talk, entries)
        return response

    async def clear(self, request: Request) -> Response:
        """Forget the conversation on this device."""
        require_same_origin(request, self._settings.server.base_url)
        response = RedirectResponse("/chat", 303)
        response.delete_cookie(TALK)
        response.delete_cookie(ENTRIES)
        return response

    async def feedback(self, request: Request) -> Response:
        """有用 / 没用 on an entry of one's own conversation."""
        require_same_origin(request, self._settings.server.base_url)
        fields = await read_form(request, self._settings.server.body_limit)
        number, useful = fields.get("entry", ""), fields.get("useful", "")
        if not _is_number(number) or useful not in ("0", "1"):
            raise WebError(422, "bad_feedback", "没有收到完整的评价，请返回上一页再点一次。")
        talk = _valid(request.cookies.get(TALK)) or ""
        entry = await _in_thread(self._own_entry, talk, int(number))
        if entry is None:
            raise WebError(404, "unknown_entry", "没有找到这条答复，可能对话已经清空。")
        await _in_thread(self._book.judge, entry.entry, useful == "1")
        if FRAGMENT in request.headers:
            return Response(status_code=204)
        return RedirectResponse(f"/chat?thanks={entry.entry}#e{entry.entry}", 303)

    async def display(self, request: Request) -> Response:
        """Switch between 大字版 and the normal size, then go back to where one was."""
        require_same_origin(request, self._settings.server.base_url)
        fields = await read_form(request, self._settings.server.body_limit)
        response: Response
        if FRAGMENT in request.headers:  # our script has switched already; this is for the next page
            response = Response(status_code=204)
        else:
            response = RedirectResponse(_local(fields.get("back", "")), 303)
        size = "large" if fields.get("size") == "large" else "normal"
        self._set_cookie(response, SIZE, size, SIZE_SECONDS)
        return response

    async def document(self, request: Request) -> Response:
        """A published document; each passage has an anchor, and the one that was quoted is marked."""
        identifier = request.path_params["document"]
        try:
            document, passages = await _in_thread(self._library.open_document, identifier)
            links = await _in_thread(self._library.links_of, identifier)
        except UnknownDocument as error:
            message = "没有找到这份文件：可能已撤下，也可能网址不完整。您可以在“找文件”里再找一找，或者直接问。"
            raise WebError(404, "unknown_document", message) from error
        view = pages.document_view(document, passages, links)
        return await self._press.page(request, "document.html.j2", view=view)

    async def browse(self, request: Request) -> Response:
        """The list of documents by element (按要素搜索), with a search box."""
        parameters = request.query_params
        query = clean_text(parameters.get("q", ""))[:500]
        filters = filters_from(parameters)
        number = parameters.get("page", "1")
        documents = await _in_thread(self._library.documents)
        listing = pages.browse(documents, filters, query, int(number) if _is_number(number) else 1)
        if query:
            self._limit(request)
            finding = await _in_thread(
                self._library.ask, Question(query, pages.search_filters(documents, filters), limit=40)
            )
            listing = pages.with_hits(listing, finding.hits, finding.corrected)
        return await self._press.page(request, "browse.html.j2", listing=listing, snippet=pages.snippet, key=_new_key())

    async def static(self, request: Request) -> Response:
        """A static file. Its address bears its hash; an old address gets the file, but not for ever."""
        file = self._press.static.get(request.path_params["name"])
        if file is None:
            raise WebError(404, "unknown_file", "没有这个文件。")
        current = request.url.path == file.url
        cache = "public, max-age=31536000, immutable" if current else "no-cache"
        return Response(file.content, media_type=file.media_type, headers={"Cache-Control": cache})

    async def icon(self, request: Request) -> Response:
        """The icon for browsers that ask without having read the page."""
        return RedirectResponse(self._press.static["icon.svg"].url, 308)

    def courteous(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """``endpoint`` with every :class:`WebError` answered by a page (or a card, for our script)."""

        @wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except WebError as error:
                return await self._press.error(request, error)

        return answer

    # ---- parts ----

    async def _chat_page(self, request: Request, cards: list[pages.Card], draft: str = "") -> Response:
        examples = [] if cards else pages.example_questions(await _in_thread(self._library.documents))
        thanks = request.query_params.get("thanks", "")
        cards = [replace(card, judged=str(card.entry) == thanks) for card in cards]
        response = await self._press.page(
            request, "chat.html.j2", cards=cards, examples=examples, key=_new_key(), draft=draft
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def _limit(self, request: Request) -> None:
        self._limiter.check(client_address(request, self._settings.server.trusted_proxies))

    def _entries_of(self, request: Request) -> list[int]:
        listed = request.cookies.get(ENTRIES, "")[:200].split(".")
        return [int(number) for number in listed if _is_number(number)][-REMEMBERED:]

    def _own_entry(self, talk: str, number: int) -> Entry | None:
        """The entry if it belongs to this conversation; nobody sees or judges a stranger's entry."""
        try:
            entry = self._book.find(number)
        except UnknownEntry:
            return None
        own = entry.channel is Channel.WEB and entry.conversation == pseudonym("web", talk)
        return entry if talk and own else None

    def _cards_of(self, talk: str, entries: list[int]) -> list[pages.Card]:
        found = [self._own_entry(talk, number) for number in entries]
        return [self._card(e.entry, e.question, e.reply, e.received_at) for e in found if e and e.reply]

    def _card(self, entry: int, question: str, reply: Reply, received_at: datetime) -> pages.Card:
        explained = self._explained(reply.sources[0]) if reply.sources else ()
        return pages.Card(entry, question, reply, _new_key(), explained, pages.clock(received_at))

    def _explained(self, source: Source) -> tuple[tuple[str, str], ...]:
        try:
            links = self._library.links_of(source.document)
        except UnknownDocument:  # withdrawn since the answer was given: the answer stands, the link does not
            return ()
        return tuple((d.title, d.url) for kind, d, incoming in links if incoming and kind is LinkKind.INTERPRETS)

    def _remember(self, response: Response, talk: str, entries: list[int]) -> None:
        self._set_cookie(response, TALK, talk, TALK_SECONDS)
        if entries:
            self._set_cookie(response, ENTRIES, ".".join(map(str, entries)), TALK_SECONDS)

    def _set_cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        secure = self._settings.server.base_url.startswith("https://")
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)


def _marked(response: Response, error: WebError) -> Response:
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


async def _in_thread(work: Callable[..., _Result], *arguments: object) -> _Result:
    return await anyio.to_thread.run_sync(work, *arguments)


def _new_key() -> str:
    return secrets.token_urlsafe(16)


def _valid(token: str | None) -> str:
    return token if token and _TOKEN.fullmatch(token) else ""


def _is_number(text: str) -> bool:
    """Whether ``text`` is a positive number that a database holds."""
    return text.isascii() and text.isdigit() and 0 < len(text) < 16


def _local(address: str) -> str:
    """``address`` if it is a path of this site, else the chat."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/chat"
    local = address.startswith("/") and not parts.netloc and not parts.scheme and "\\" not in address
    return address if local and address.isprintable() and not address.startswith("//") else "/chat"
