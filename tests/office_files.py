"""Small office files made by code: DOCX, OFD and PDF as their standards describe them, without the programs that make them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
OFD = "http://www.ofdspec.org/2016"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def pack(path: Path, parts: dict[str, str | bytes]) -> Path:
    """A ZIP file with these parts."""
    with ZipFile(path, "w", ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return path


# ---------------------------------------------------------------- DOCX


def p(
    text: str = "", *, style: str = "", number: tuple[int, int] | None = None, inner: str = "", more: str = ""
) -> str:
    """A paragraph; ``number`` is (list, level), ``inner`` is raw XML behind the text, ``more`` raw paragraph properties."""
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if number:
        properties += f'<w:numPr><w:ilvl w:val="{number[1]}"/><w:numId w:val="{number[0]}"/></w:numPr>'
    run = f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>' if text else ""
    return f"<w:p><w:pPr>{properties}{more}</w:pPr>{run}{inner}</w:p>"


def tc(text: str, *, merge: str = "", span: int = 1) -> str:
    """A table cell; ``merge`` is ``restart`` or ``continue``."""
    properties = (f'<w:gridSpan w:val="{span}"/>' if span > 1 else "") + (
        f'<w:vMerge w:val="{merge}"/>' if merge else ""
    )
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{''.join(p(line) for line in text.split(chr(10)))}</w:tc>"


def table(*rows: Sequence[str]) -> str:
    """A table of cells that are text or made by :func:`tc`."""
    lines = ("".join(cell if cell.startswith("<w:tc>") else tc(cell) for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{line}</w:tr>' for line in lines)}</w:tbl>"


def docx(path: Path, *body: str, prefix: str = "w", namespace: str = W, parts: dict[str, str] | None = None) -> Path:
    """A Word document with ``body``; ``parts`` are further parts of the folder ``word``, by name without ``.xml``."""
    extra = parts or {}
    document = f'{XML}<w:document xmlns:w="{namespace}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:v="urn:schemas-microsoft-com:vml"><w:body>{"".join(body)}<w:sectPr/></w:body></w:document>'
    if prefix != "w":
        document = document.replace("<w:", f"<{prefix}:").replace("</w:", f"</{prefix}:").replace(" w:", f" {prefix}:")
        document = document.replace("xmlns:w=", f"xmlns:{prefix}=")
    relations = "".join(
        f'<Relationship Id="r{place}" Type="{_OFFICE}/{name.rstrip("0123456789")}" Target="{name}.xml"/>'
        for place, name in enumerate(extra)
    )
    return pack(
        path,
        {
            "[Content_Types].xml": f'{XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
            "_rels/.rels": f'{XML}<Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/document.xml": document,
            "word/_rels/document.xml.rels": f'{XML}<Relationships xmlns="{_PACKAGE}">{relations}</Relationships>',
            **{f"word/{name}.xml": XML + content for name, content in extra.items()},
        },
    )


def numbering(*lists: Sequence[tuple[str, str]], overrides: dict[int, int] | None = None) -> str:
    """``numbering.xml`` with lists 1, 2, …, each a row of (format, text) by level.

    ``overrides`` adds list n that counts in list 1 but begins anew at the value.
    """
    levels = [
        "".join(
            f'<w:lvl w:ilvl="{place}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
            for place, (form, text) in enumerate(shape)
        )
        for shape in lists
    ]
    abstract = "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{level}</w:abstractNum>' for n, level in enumerate(levels)
    )
    numbers = "".join(
        f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(len(levels))
    ) + "".join(
        f'<w:num w:numId="{n}"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="{start}"/></w:lvlOverride></w:num>'
        for n, start in (overrides or {}).items()
    )
    return f'<w:numbering xmlns:w="{W}">{abstract}{numbers}</w:numbering>'


# ---------------------------------------------------------------- OFD


def text_object(text: str, x: float, y: float, *, size: float = 5.6, more: str = "", delta: str = "") -> str:
    """One line of text whose baseline begins at (x, y) in millimetres."""
    steps = delta or " ".join(str(size / 2 if character.isascii() else size) for character in text[:-1])
    along = f' DeltaX="{steps}"' if steps else ""
    return (
        f'<ofd:TextObject ID="1" Boundary="{x} {y - size} {size * len(text)} {size * 1.2}" Font="1" Size="{size}"{more}>'
        f'<ofd:TextCode X="0" Y="{size}"{along}>{escape(text)}</ofd:TextCode></ofd:TextObject>'
    )


def stroke(x0: float, y0: float, x1: float, y1: float) -> str:
    """A straight line in millimetres."""
    return (
        f'<ofd:PathObject ID="2" Boundary="{x0} {y0} {max(x1 - x0, 0.3)} {max(y1 - y0, 0.3)}" Stroke="true">'
        f"<ofd:AbbreviatedData>M 0 0 L {x1 - x0} {y1 - y0}</ofd:AbbreviatedData></ofd:PathObject>"
    )


def ofd(
    path: Path, *pages: str, template: str = "", attachment: str = "", parts: dict[str, str | bytes] | None = None
) -> Path:
    """An OFD document; each page is the XML of its objects."""

    def content(objects: str, head: str = "") -> str:
        return f'{XML}<ofd:Page xmlns:ofd="{OFD}">{head}<ofd:Content><ofd:Layer ID="9">{objects}</ofd:Layer></ofd:Content></ofd:Page>'

    head = '<ofd:Template TemplateID="50"/>' if template else ""
    listed = "".join(f'<ofd:Page ID="{n}" BaseLoc="Pages/{n}.xml"/>' for n in range(len(pages)))
    common = '<ofd:CommonData><ofd:TemplatePage ID="50" BaseLoc="Tpl.xml"/></ofd:CommonData>' if template else ""
    attached = "<ofd:Attachments>Attachments.xml</ofd:Attachments>" if attachment else ""
    files: dict[str, str | bytes] = {
        "OFD.xml": f'{XML}<ofd:OFD xmlns:ofd="{OFD}"><ofd:DocBody><ofd:DocInfo><ofd:Title>不是标题</ofd:Title></ofd:DocInfo><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>',
        "Doc_0/Document.xml": f'{XML}<ofd:Document xmlns:ofd="{OFD}">{common}<ofd:Pages>{listed}</ofd:Pages>{attached}</ofd:Document>',
    }
    for number, page in enumerate(pages):
        files[f"Doc_0/Pages/{number}.xml"] = content(page, head)
    if template:
        files["Doc_0/Tpl.xml"] = content(template)
    if attachment:
        files["Doc_0/Attachments.xml"] = (
            f'{XML}<ofd:Attachments xmlns:ofd="{OFD}"><ofd:Attachment ID="1" Name="附表"><ofd:FileLoc>Res/{attachment}</ofd:FileLoc></ofd:Attachment></ofd:Attachments>'
        )
    return pack(path, {**files, **(parts or {})})


# ---------------------------------------------------------------- PDF


@dataclass
class Pdf:
    """A PDF of A4 pages; places are points from the top left corner. Chinese needs no font file: the reader knows GB1."""

    pages: list[list[bytes]] = field(default_factory=list)
    pictures: list[tuple[int, int, int, bytes]] = field(default_factory=list)  # page, width, height, grey pixels
    rotate: int = 0
    encrypted: bool = False

    def page(self) -> Pdf:
        """Begin a page."""
        self.pages.append([])
        return self

    def text(
        self,
        text: str,
        x: float,
        y: float,
        size: float = 16.0,
        *,
        turn: tuple[float, ...] = (1, 0, 0, 1),
        mode: int = 0,
    ) -> Pdf:
        """One run of text whose baseline begins at (x, y); ``mode`` 3 does not draw it."""
        codes = text.encode("utf-16-be").hex()
        a, b, c, d = turn
        self.pages[-1].append(f"BT {mode} Tr /F1 {size} Tf {a} {b} {c} {d} {x} {842 - y} Tm <{codes}> Tj ET".encode())
        return self

    def line(self, x0: float, y0: float, x1: float, y1: float) -> Pdf:
        """A straight line."""
        self.pages[-1].append(f"0.5 w {x0} {842 - y0} m {x1} {842 - y1} l S".encode())
        return self

    def lines(
        self, lines: Sequence[str], x: float = 72, y: float = 90, size: float = 16.0, leading: float = 28.0
    ) -> Pdf:
        """Lines one below the other; a leading full-width space moves a line in."""
        for place, line in enumerate(lines):
            shift = len(line) - len(line.lstrip("\u3000"))
            self.text(line.lstrip("\u3000"), x + shift * size, y + place * leading, size)
        return self

    def picture(
        self, width: int, height: int, pixels: bytes, box: tuple[float, float, float, float] | None = None
    ) -> Pdf:
        """A grey picture: a page of its own, or at ``box`` (x0, y0, x1, y1 from the top left corner) on the present page."""
        if box is None:
            self.page()
        x0, y0, x1, y1 = box or (0, 0, 595, 842)
        self.pictures.append((len(self.pages) - 1, width, height, pixels))
        place = f"{x1 - x0} 0 0 {y1 - y0} {x0} {842 - y1}"
        self.pages[-1].append(f"q {place} cm /I{len(self.pages) - 1} Do Q".encode())
        return self

    def save(self, path: Path) -> Path:
        """Write the file."""
        objects: list[bytes] = []

        def add(content: bytes) -> int:
            objects.append(content)
            return len(objects)

        def stream(data: bytes, head: str = "") -> bytes:
            packed = zlib.compress(data)
            return f"<<{head}/Length {len(packed)}/Filter/FlateDecode>>stream\n".encode() + packed + b"\nendstream"

        add(b"<</Type/Catalog/Pages 2 0 R>>")
        add(b"")
        descriptor = add(
            b"<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/FontBBox[-25 -254 1000 880]/ItalicAngle 0/Ascent 880/Descent -120/CapHeight 880/StemV 93>>"
        )
        cid = add(
            f"<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>/FontDescriptor {descriptor} 0 R/DW 1000/W[1 95 500 814 939 500]>>".encode()
        )
        font = add(
            f"<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[{cid} 0 R]>>".encode()
        )
        kids = []
        for number, content in enumerate(self.pages):
            images = ""
            for page, width, height, pixels in self.pictures:
                if page == number:
                    image = add(
                        stream(
                            pixels,
                            f"/Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceGray/BitsPerComponent 8",
                        )
                    )
                    images = f"/XObject<</I{number} {image} 0 R>>"
            body = add(stream(b"\n".join(content)))
            kids.append(
                add(
                    f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate {self.rotate}/Contents {body} 0 R/Resources<</Font<</F1 {font} 0 R>>{images}>>>>".encode()
                )
            )
        objects[1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{k} 0 R' for k in kids)}]>>".encode()
        lock = ""
        if self.encrypted:
            number = add(f"<</Filter/Standard/V 1/R 2/P -4/O<{'5a' * 32}>/U<{'a5' * 32}>>>".encode())
            lock = f"/Encrypt {number} 0 R/ID[<00><00>]"
        data, places = b"%PDF-1.4\n", []
        for number, content in enumerate(objects, 1):
            places.append(len(data))
            data += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
        start = len(data)
        data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
        data += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
        data += f"trailer<</Size {len(objects) + 1}/Root 1 0 R{lock}>>\nstartxref\n{start}\n%%EOF\n".encode()
        path.write_bytes(data)
        return path
