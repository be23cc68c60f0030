"""网站: the citizen's pages: front page, chat, documents, the list by element, a shared answer.

Everything works by plain forms; one small script makes the chat smoother. The conversation hangs on a random
first-party cookie; the register keeps only its pseudonym. A second cookie lists the entries of this conversation,
and an entry is drawn again only if the register says that it belongs to it. In a frame of another site there is no
cookie: the same two values go from form to form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from bot.channels import pages, share
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
    inquiry_of,
    is_number,
    new_token,
    pseudonym,
    question_in,
    read_form,
    require_same_origin,
    valid_token,
)
from bot.channels.kiosk import KioskDoor
from bot.channels.press import FRAGMENT, SIZE, Press, in_thread, place_of
from bot.config import Settings
from knowledge.errors import UnknownDocument
from knowledge.model import LinkKind, Question
from register.clock import now_beijing
from register.errors import UnknownEntry
from register.inquiry import Channel, Entry, Reply, Source

TALK = "bianmin_talk"  # random id of the conversation
ENTRIES = "bianmin_entries"  # its entry numbers, oldest first
REMEMBERED = 8  # cards drawn again on reload
TALK_SECONDS = 12 * 3600  # a shared phone forgets over night
SIZE_SECONDS = 365 * 24 * 3600
WIDGET = "widget.js"  # the one file that other sites name: its address stays the same

_PROGRAMS = ("/api/", "/wechat", "/telegram")  # doors of programs: errors as JSON
_NOWHERE = "没有这个网页，可能网址不完整。您可以从下面重新开始。"


def routes(settings: Settings, reception: Reception, library: Library, book: Book, signer: share.Signer) -> list[Route]:
    """Every route of the citizen's web door: pages, kiosk, static files, the public interface."""
    limiter = RateLimiter(settings.server.asks_per_minute)
    press = Press(settings, library)
    door = WebDoor(settings, reception, library, book, signer, limiter, press)
    kiosk = KioskDoor(settings, reception, library, book, limiter, press)
    middleware = [Middleware(SecurityHeaders), Middleware(GZipMiddleware, minimum_size=1024)]

    def page(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        return Route(path, press.courteous(endpoint), methods=methods or ("GET",), middleware=middleware)

    return [
        page("/", door.front),
        page("/chat", door.chat),
        page("/chat", door.ask, "POST"),
        page("/chat/again", door.again, "POST"),
        page("/chat/clear", door.clear, "POST"),
        page("/feedback", door.feedback, "POST"),
        page("/display", door.display, "POST"),
        page("/a/{entry}", door.shared),
        page("/p/{document}", door.document),
        page("/browse", door.browse),
        page("/kiosk", kiosk.start),
        page("/kiosk", kiosk.ask, "POST"),
        page("/kiosk/judge", kiosk.judge, "POST"),
        page("/kiosk/p/{document}", kiosk.document),
        page("/api", door.interface),
        page(f"/static/{WIDGET}", door.widget),
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


class WebDoor:
    """网页入口: the endpoints. It turns requests into calls of the house and results into pages, nothing else."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        library: Library,
        book: Book,
        signer: share.Signer,
        limiter: RateLimiter,
        press: Press,
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._library = library
        self._book = book
        self._signer = signer
        self._limiter = limiter
        self._press = press

    # ---- endpoints ----

    async def front(self, request: Request) -> Response:
        """The front page: ask at once, or look around."""
        documents = await in_thread(self._library.documents)
        listing = pages.browse(documents, filters_from({}), "", 1)
        return await self._press.page(
            request,
            "front.html.j2",
            examples=pages.example_questions(documents),
            shelf=pages.shelf(listing),
            key=new_token(),
        )

    async def chat(self, request: Request) -> Response:
        """The conversation so far, or a welcome with examples."""
        talk, entries = self._talk_of(request, {})
        cards = await in_thread(self._cards_of, talk, entries) if talk else []
        return await self._chat_page(request, talk or new_token(), cards)

    async def again(self, request: Request) -> Response:
        """The cards of a conversation whose frame was loaded anew; our script holds what a cookie may not."""
        require_same_origin(request, self._settings.server.base_url)
        fields = await read_form(request, self._settings.server.body_limit)
        talk, entries = self._talk_of(request, fields)
        cards = await in_thread(self._cards_of, talk, entries) if talk else []
        return self._press.fragment("cards.html.j2", self._place(request, talk, entries), cards=cards)

    async def ask(self, request: Request) -> Response:
        """One question. A repeated submit carries the same key and finds the first answer."""
        require_same_origin(request, self._settings.server.base_url)
        self._limit(request)
        fields = await read_form(request, self._settings.server.body_limit)
        text = question_in(fields, self._settings.server.body_limit)
        key = valid_token(fields.get("key")) or new_token()
        known, entries = self._talk_of(request, fields)
        # Without a cookie the key itself names the conversation, so that even then a double submit is one message.
        talk = known or key
        inquiry = inquiry_of(Channel.WEB, talk, key, text)
        entry, reply = await answered(self._reception, inquiry)
        entries = [*(e for e in entries if e != entry), entry][-REMEMBERED:]
        if FRAGMENT in request.headers:
            card = await in_thread(self._card, entry, text, reply, inquiry.received_at)
            response = self._press.fragment("card.html.j2", self._place(request, talk, entries), card=card)
            self._remember(request, response, talk, entries)
            return response
        if known and place_of(request) is pages.SITE:  # so that reload and back do not ask again
            moved = RedirectResponse(f"/chat#e{entry}", 303)
            self._remember(request, moved, talk, entries)
            return moved
        return await self._chat_page(request, talk, await in_thread(self._cards_of, talk, entries))

    async def clear(self, request: Request) -> Response:
        """Forget the conversation on this device."""
        require_same_origin(request, self._settings.server.base_url)
        response = RedirectResponse(place_of(request).ask, 303)
        if place_of(request) is pages.SITE:
            response.delete_cookie(TALK)
            response.delete_cookie(ENTRIES)
        return response

    async def feedback(self, request: Request) -> Response:
        """有用 / 没用 on an entry of one's own conversation."""
        require_same_origin(request, self._settings.server.base_url)
        fields = await read_form(request, self._settings.server.body_limit)
        number, useful = fields.get("entry", ""), fields.get("useful", "")
        if not is_number(number) or useful not in ("0", "1"):
            raise WebError(422, "bad_feedback", "没有收到完整的评价，请返回上一页再点一次。")
        talk, entries = self._talk_of(request, fields)
        entry = await in_thread(self._own_entry, talk, int(number))
        if entry is None:
            raise WebError(404, "unknown_entry", "没有找到这条答复，可能对话已经清空。")
        await in_thread(self._book.judge, entry.entry, useful == "1")
        if FRAGMENT in request.headers:
            return Response(status_code=204)
        if place_of(request) is pages.SITE:
            return RedirectResponse(f"/chat?thanks={entry.entry}#e{entry.entry}", 303)
        return await self._chat_page(request, talk, await in_thread(self._cards_of, talk, entries), judged=number)

    async def shared(self, request: Request) -> Response:
        """One answer for whoever has its signed address: quotes and contacts, no word of the question."""
        number, key = request.path_params["entry"], request.query_params.get("k", "")
        last = share.last_day(int(number), key, self._signer) if is_number(number) else None
        if last is None:
            message = "没有找到这条分享，网址可能不完整。请让发给您的人再发一次，或者直接问。"
            raise WebError(404, "unknown_share", message)
        if _today() > last:
            message = f"这条分享已于{pages.day(last)}到期。政策会变，请直接再问一次，看最新的答复。"
            raise WebError(410, "share_expired", message)
        try:
            entry = await in_thread(self._book.find, int(number))
        except UnknownEntry:
            entry = None
        if entry is None or entry.reply is None:
            raise WebError(410, "share_gone", "这条分享已经不在了。请直接再问一次，看最新的答复。")
        answer = await in_thread(share.shared, entry.reply, self._library)
        if answer.empty:
            raise WebError(410, "share_withdrawn", "这条答复引用的文件已经撤下，不再展示。请直接再问一次。")
        response = await self._press.page(
            request,
            "shared.html.j2",
            answer=answer,
            answered_on=entry.received_at.astimezone(pages.BEIJING).date(),
            last=last,
            place=pages.SITE,
        )
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response

    async def interface(self, request: Request) -> Response:
        """The page for programmers and for webmasters of the county's own sites."""
        return await self._press.page(request, "api.html.j2")

    async def widget(self, request: Request) -> Response:
        """The script that other sites name; browsers look for a new one every hour."""
        file = self._press.static[WIDGET]
        headers = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(file.content, media_type=file.media_type, headers=headers)

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
            document, passages = await in_thread(self._library.open_document, identifier)
            links = await in_thread(self._library.links_of, identifier)
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
        documents = await in_thread(self._library.documents)
        listing = pages.browse(documents, filters, query, int(number) if is_number(number) else 1)
        if query:
            self._limit(request)
            finding = await in_thread(
                self._library.ask, Question(query, pages.search_filters(documents, filters), limit=40)
            )
            listing = pages.with_hits(listing, finding.hits, finding.corrected)
        return await self._press.page(
            request, "browse.html.j2", listing=listing, snippet=pages.snippet, key=new_token()
        )

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

    # ---- parts ----

    async def _chat_page(self, request: Request, talk: str, cards: list[pages.Card], judged: str = "") -> Response:
        examples = [] if cards else pages.example_questions(await in_thread(self._library.documents))
        judged = judged or request.query_params.get("thanks", "")
        cards = [replace(card, judged=str(card.entry) == judged) for card in cards]
        entries = [card.entry for card in cards]
        response = await self._press.page(
            request,
            "chat.html.j2",
            place=self._place(request, talk, entries),
            cards=cards,
            examples=examples,
            key=new_token(),
            draft=clean_text(request.query_params.get("q", ""))[:500],
        )
        response.headers["Cache-Control"] = "no-store"
        self._remember(request, response, talk, entries)
        return response

    def _limit(self, request: Request) -> None:
        self._limiter.check(client_address(request, self._settings.server.trusted_proxies))

    def _talk_of(self, request: Request, fields: dict[str, str]) -> tuple[str, list[int]]:
        """The conversation's id (or empty) and its entries: from the cookies, in a frame from the form."""
        kept = fields if place_of(request) is pages.EMBED else request.cookies
        names = ("talk", "entries") if place_of(request) is pages.EMBED else (TALK, ENTRIES)
        listed = kept.get(names[1], "")[:200].split(".")
        return valid_token(kept.get(names[0])), [int(number) for number in listed if is_number(number)][-REMEMBERED:]

    def _place(self, request: Request, talk: str, entries: list[int]) -> pages.Place:
        place = place_of(request)
        return replace(place, talk=talk, entries=tuple(entries)) if place is pages.EMBED else place

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
        shared = ""
        if share.shareable(reply):
            shared = share.address_of(entry, _today(), self._settings.web.share_days, self._signer)
        return pages.Card(entry, question, reply, new_token(), explained, pages.clock(received_at), share=shared)

    def _explained(self, source: Source) -> tuple[tuple[str, str], ...]:
        try:
            links = self._library.links_of(source.document)
        except UnknownDocument:  # withdrawn since the answer was given: the answer stands, the link does not
            return ()
        return tuple((d.title, d.url) for kind, d, incoming in links if incoming and kind is LinkKind.INTERPRETS)

    def _remember(self, request: Request, response: Response, talk: str, entries: list[int]) -> None:
        if place_of(request) is not pages.SITE:
            return
        self._set_cookie(response, TALK, talk, TALK_SECONDS)
        if entries:
            self._set_cookie(response, ENTRIES, ".".join(map(str, entries)), TALK_SECONDS)

    def _set_cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        secure = self._settings.server.base_url.startswith("https://")
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)


def _today() -> date:
    return now_beijing().date()


def _local(address: str) -> str:
    """``address`` if it is a path of this site, else the chat."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/chat"
    local = address.startswith("/") and not parts.netloc and not parts.scheme and "\\" not in address
    return address if local and address.isprintable() and not address.startswith("//") else "/chat"
