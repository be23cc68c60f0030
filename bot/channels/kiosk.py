"""政务公开专区的自助机: ``/kiosk``. Very large type, everything by touch, and nothing left for the next citizen.

There is no cookie and no storage: a random id of the conversation goes from form to form and ends with the page. Our
script swaps the page in place, so that the browser's history holds the start screen only.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.channels import pages
from bot.channels.http import (
    Book,
    Library,
    RateLimiter,
    Reception,
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
from bot.channels.press import FRAGMENT, Press, in_thread
from bot.config import Settings
from knowledge.errors import UnknownDocument
from knowledge.model import Filters, LinkKind
from register.errors import UnknownEntry
from register.inquiry import Channel, Reply

WEB_COOKIES = ("bianmin_talk", "bianmin_entries", "bianmin_size")  # of somebody who left the kiosk for the chat


class KioskDoor:
    """自助机入口: start screen, the matters of a field or an organ, an answer, a document."""

    def __init__(
        self,
        settings: Settings,
        reception: Reception,
        library: Library,
        book: Book,
        limiter: RateLimiter,
        press: Press,
    ) -> None:
        self._settings = settings
        self._reception = reception
        self._library = library
        self._book = book
        self._limiter = limiter
        self._press = press
        # Browsers obey it over TLS only and complain elsewhere. Cookies are ended one by one: the header would end
        # those of the whole domain, also of other sites of the county.
        over_tls = settings.server.base_url.startswith("https://")
        self._cleared = {"Clear-Site-Data": '"cache", "storage"'} if over_tls else {}

    async def start(self, request: Request) -> Response:
        """The start screen, or with ``?topic=`` or ``?organ=`` what can be asked in that field or of that organ."""
        topic, organ = (clean_text(request.query_params.get(name, ""))[:100] for name in ("topic", "organ"))
        documents = await in_thread(self._library.documents)
        place = replace(pages.KIOSK, talk=new_token())
        if topic or organ:
            number = request.query_params.get("page", "1")
            menu = pages.kiosk_menu(
                documents, Filters(topic=topic, organ=organ), int(number) if is_number(number) else 1
            )
            return await self._press.page(request, "kiosk_menu.html.j2", place=place, menu=menu, key=new_token())
        groups = {group.field: group for group in pages.browse(documents, Filters(), "", 1).groups}
        response = await self._press.page(
            request,
            "kiosk_start.html.j2",
            place=place,
            examples=pages.example_questions(documents),
            groups=[groups[name] for name in ("topic", "organ") if name in groups],
            key=new_token(),
        )
        response.headers.update(self._cleared)
        for name in WEB_COOKIES:
            if name in request.cookies:
                response.delete_cookie(name)
        return response

    async def ask(self, request: Request) -> Response:
        """One question, by touch or by keyboard; the page shows this question and its answer only."""
        require_same_origin(request, self._settings.server.base_url)
        self._limiter.check(client_address(request, self._settings.server.trusted_proxies))
        fields = await read_form(request, self._settings.server.body_limit)
        text = question_in(fields, self._settings.server.body_limit)
        key = valid_token(fields.get("key")) or new_token()
        talk = valid_token(fields.get("talk")) or key
        inquiry = inquiry_of(Channel.KIOSK, talk, key, text)
        entry, reply = await answered(self._reception, inquiry)
        explained = await in_thread(self._explained, reply)
        card = pages.Card(entry, text, reply, new_token(), explained, pages.clock(inquiry.received_at))
        place = replace(pages.KIOSK, talk=talk)
        return await self._press.page(request, "kiosk_answer.html.j2", place=place, card=card, key=new_token())

    async def judge(self, request: Request) -> Response:
        """有用 / 没用 on an answer of this conversation."""
        require_same_origin(request, self._settings.server.base_url)
        fields = await read_form(request, self._settings.server.body_limit)
        number, useful = fields.get("entry", ""), fields.get("useful", "")
        talk = valid_token(fields.get("talk"))
        if not is_number(number) or useful not in ("0", "1") or not talk:
            raise WebError(422, "bad_feedback", "没有收到完整的评价，请再点一次。")
        if not await in_thread(self._own, talk, int(number)):
            raise WebError(404, "unknown_entry", "没有找到这条答复，可能已经回到首页。")
        await in_thread(self._book.judge, int(number), useful == "1")
        return Response(status_code=204) if FRAGMENT in request.headers else RedirectResponse("/kiosk", 303)

    async def document(self, request: Request) -> Response:
        """A published document in the kiosk's clothes."""
        identifier = request.path_params["document"]
        try:
            document, passages = await in_thread(self._library.open_document, identifier)
            links = await in_thread(self._library.links_of, identifier)
        except UnknownDocument as error:
            raise WebError(404, "unknown_document", "没有找到这份文件，可能已经撤下。您可以回首页再找一找。") from error
        view = pages.document_view(document, passages, links)
        return await self._press.page(request, "document.html.j2", view=view)

    def _own(self, talk: str, number: int) -> bool:
        try:
            entry = self._book.find(number)
        except UnknownEntry:
            return False
        return entry.channel is Channel.KIOSK and secrets.compare_digest(entry.conversation, pseudonym("kiosk", talk))

    def _explained(self, reply: Reply) -> tuple[tuple[str, str], ...]:
        if not reply.sources:
            return ()
        try:
            links = self._library.links_of(reply.sources[0].document)
        except UnknownDocument:  # withdrawn this very moment: the answer stands, the link does not
            return ()
        return tuple((d.title, d.url) for kind, d, incoming in links if incoming and kind is LinkKind.INTERPRETS)
