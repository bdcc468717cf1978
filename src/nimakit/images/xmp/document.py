"""An XMP document whose single properties are read and replaced; every other byte stays as it is."""

import re
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn
from xml.parsers import expat

from nimakit.errors import ImageError

MAX_BYTES = 64 << 20
"""Largest document: sidecars with masks have a few megabytes."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_ROOT, _NODE, _ITEM = f"{_RDF} RDF", f"{_RDF} Description", f"{_RDF} li"
_ATTRIBUTE = re.compile(rb"(\s+)([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_INVALID = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot contain."""
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_QUOTED_ESCAPES = {**_ESCAPES, '"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_ENCODINGS = ("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii")


class Name(NamedTuple):
    """The name of a property.

    Attributes:
        namespace: URI of its schema.
        local: Its name in the schema.
        prefix: Prefix to declare where the schema has none yet.
    """

    namespace: str
    local: str
    prefix: str

    @property
    def expanded(self) -> str:
        """The form in which the XML parser gives it."""
        return f"{self.namespace} {self.local}"

    def __str__(self) -> str:
        return f"{self.prefix}:{self.local}"


@dataclass(slots=True)
class _Value:
    """A value of a property: its text, the place of the text in the document, and the items of a list."""

    start: int
    stop: int
    text: str = ""
    items: list[str] = field(default_factory=list)
    is_attribute: bool = False
    is_simple: bool = True
    empty_tag: bytes = b""


@dataclass(slots=True)
class _Node:
    """The place after the last attribute of an rdf:Description, and the prefixes declared there."""

    place: int
    separator: bytes
    prefixes: dict[str, str]


class Document:
    """An XMP document: a sidecar, or a packet with its padding.

    Args:
        content: The whole document, in UTF-8 or UTF-16.

    Attributes:
        content: The same.

    Raises:
        ImageError: It is no XMP, or has a DOCTYPE. Such a declaration may define entities; XMP needs none.
    """

    def __init__(self, content: bytes) -> None:
        if len(content) > MAX_BYTES:
            raise ImageError(f"XMP must have at most {MAX_BYTES >> 20} MiB. Received: more.")
        self.content = content
        self._encoding, self._text, self._tail = _as_utf8(content)
        self._scan = _Scan(self._text)

    def get(self, name: Name) -> str | None:
        """The text of a property; None if it is missing or a structure."""
        values = self._scan.values.get(name.expanded, ())
        return next((value.text.strip() for value in values if value.is_simple), None)

    def items(self, name: Name) -> tuple[str, ...]:
        """The texts of a list, such as an rdf:Seq; empty if the property is missing."""
        values = self._scan.values.get(name.expanded, ())
        return tuple(item.strip() for value in values for item in value.items)

    def edited(self, values: Mapping[Name, str]) -> bytes:
        """The document with other values of some properties; those that are missing are added.

        Raises:
            ImageError: One of them is a list or a structure, or a value has characters that XML lacks.
        """
        if not self._scan.nodes:
            return Document(self._with_node()).edited(values)
        replacements: list[tuple[int, int, bytes]] = []
        node = self._scan.nodes[0]
        prefixes, added = dict(node.prefixes), b""
        for name, text in values.items():
            if _INVALID.search(text):
                raise ImageError(f"A value in XMP must consist of characters of XML. Received: {text!r}")
            known = self._scan.values.get(name.expanded, ())
            for value in known:
                insort(replacements, self._replacement(name, value, text))
            if not known:
                added += _attribute(name, text, prefixes, node.separator)
        if added:
            insort(replacements, (node.place, node.place, added))
        edited = self._text
        for start, stop, new in reversed(replacements):
            edited = edited[:start] + new + edited[stop:]
        return self._encoded(edited)

    def _replacement(self, name: Name, value: _Value, text: str) -> tuple[int, int, bytes]:
        if not value.is_simple:
            raise ImageError(f"{name} must be a single value to be changed. Received: a list or a structure.")
        escaped = _escaped(text, _QUOTED_ESCAPES if value.is_attribute else _ESCAPES)
        if value.empty_tag:
            opened = value.empty_tag[:-2].rstrip()
            qualified = re.split(rb"\s", opened[1:], maxsplit=1)[0]
            escaped = opened + b">" + escaped + b"</" + qualified + b">"
        return value.start, value.stop, escaped

    def _with_node(self) -> bytes:
        """The document with an rdf:Description, if its rdf:RDF is empty."""
        tag = self._scan.root
        qualified = re.split(rb"[\s/>]", self._text[tag.start + 1 : tag.stop], maxsplit=1)[0]
        prefix = qualified.rpartition(b":")[0]
        if not prefix:  # without one, rdf:about could not be written
            raise ImageError("The rdf:RDF of XMP must have a prefix. Received: a default namespace.")
        node = b"<" + prefix + b":Description " + prefix + b':about=""/>'
        before, after = self._text[: tag.stop], self._text[tag.stop :]
        if before.endswith(b"/>"):
            before, after = before[:-2].rstrip() + b">", b"</" + qualified + b">" + after
        return self._encoded(before + node + after)

    def _encoded(self, text: bytes) -> bytes:
        return (text if self._encoding == "utf-8" else text.decode().encode(self._encoding)) + self._tail


def read_sidecar(path: Path) -> Document:
    """Read a sidecar.

    Raises:
        ImageError: As for `Document`.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return Document(stream.read(MAX_BYTES + 1))


class _Scan:
    """What is needed of a document, from one pass over it.

    Attributes:
        values: Values of the properties of all top-level nodes, by expanded name.
        nodes: The top-level rdf:Descriptions.
        root: The start tag of rdf:RDF.
    """

    def __init__(self, text: bytes) -> None:
        self.values: dict[str, list[_Value]] = {}
        self.nodes: list[_Node] = []
        self.root: _Value
        self._text = text
        self._path: list[str] = []
        self._scopes: dict[str, list[str]] = {}
        self._property: _Value | None = None
        self._root_depth = -1
        parser = self._parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartNamespaceDeclHandler = self._enter_scope
        parser.EndNamespaceDeclHandler = self._leave_scope
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(text, True)  # noqa: FBT003 - the argument has no name
        except expat.ExpatError as error:
            raise ImageError(f"XMP must be XML. Received: {error}.") from error
        if self._root_depth < 0:
            raise ImageError("XMP must have an rdf:RDF element. Received: XML without one.")

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in _ENCODINGS:
            raise ImageError(f"XMP must be in UTF-8 or UTF-16. Received: {encoding}.")

    def _refuse_doctype(self, *_: object) -> NoReturn:
        raise ImageError("XMP must have no DOCTYPE, which may define entities. Received: one.")

    def _enter_scope(self, prefix: str | None, namespace: str) -> None:
        self._scopes.setdefault(prefix or "", []).append(namespace or "")

    def _leave_scope(self, prefix: str | None) -> None:
        self._scopes[prefix or ""].pop()

    def _start(self, name: str, attributes: list[str]) -> None:
        depth = len(self._path) - self._root_depth
        if self._root_depth < 0:
            if name == _ROOT and len(self._path) <= 1:
                self._root_depth = len(self._path)
                self.root = self._tag()
        elif depth == 1:
            self._add_node(name, attributes)
        elif depth == 2:
            self._open_property(name, attributes)
        elif self._property:
            self._property.is_simple = False
            if name == _ITEM:
                self._property.items.append("")
        self._path.append(name)

    def _tag(self) -> _Value:
        """The place of the tag that the parser is at."""
        start = self._parser.CurrentByteIndex
        found = _TAG.match(self._text, start)
        return _Value(start, found.end() if found else start)

    def _add_node(self, name: str, attributes: list[str]) -> None:
        """Add the properties that are attributes of a top-level node."""
        tag = self._tag()
        texts = dict(zip(attributes[::2], attributes[1::2], strict=True))
        prefixes = {prefix: scope[-1] for prefix, scope in self._scopes.items() if prefix and scope}
        separator, place = b" ", 0
        for found in _ATTRIBUTE.finditer(self._text, tag.start, tag.stop):
            separator, place = found[1], found.end()
            prefix, _, local = found[2].decode().rpartition(":")
            expanded = f"{prefixes.get(prefix, '')} {local}"
            if prefix != "xmlns" and expanded in texts:
                value = _Value(found.start(3) + 1, found.end(3) - 1, texts[expanded], is_attribute=True)
                self.values.setdefault(expanded, []).append(value)
        if name == _NODE:
            self.nodes.append(_Node(place or self._end_of_name(tag), separator, prefixes))

    def _end_of_name(self, tag: _Value) -> int:
        return tag.start + len(re.split(rb"[\s/>]", self._text[tag.start : tag.stop], maxsplit=1)[0])

    def _open_property(self, name: str, attributes: list[str]) -> None:
        tag = self._tag()
        value = self._property = _Value(tag.stop, tag.stop)
        value.is_simple = not any(attribute.startswith(_RDF) for attribute in attributes[::2])
        if self._text[: tag.stop].endswith(b"/>"):
            value.start, value.empty_tag = tag.start, self._text[tag.start : tag.stop]
        self.values.setdefault(name, []).append(value)

    def _characters(self, text: str) -> None:
        if not self._property:
            return
        if len(self._path) - self._root_depth == 3:
            self._property.text += text
        elif self._path[-1] == _ITEM and self._property.items:
            self._property.items[-1] += text

    def _end(self, _name: str) -> None:
        self._path.pop()
        if self._property and len(self._path) - self._root_depth == 2:
            if not self._property.empty_tag:
                self._property.stop = self._parser.CurrentByteIndex
            self._property = None


def _as_utf8(content: bytes) -> tuple[str, bytes, bytes]:
    """The encoding of a document, its text in UTF-8, and the NUL bytes after it."""
    encoding = "utf-8"
    if content.startswith((b"\xff\xfe", b"<\0")):
        encoding = "utf-16-le"
    elif content.startswith((b"\xfe\xff", b"\0<")):
        encoding = "utf-16-be"
    if encoding == "utf-8":
        text = content.rstrip(b"\0")
        return encoding, text, content[len(text) :]
    try:
        decoded = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ImageError(f"XMP must be in UTF-8 or UTF-16. Received: {error}.") from error
    text = decoded.rstrip("\0").encode()
    return encoding, text, b"\0\0" * (len(decoded) - len(decoded.rstrip("\0")))


def _escaped(text: str, escapes: Mapping[str, str]) -> bytes:
    return "".join(escapes.get(character, character) for character in text).encode()


def _attribute(name: Name, text: str, prefixes: dict[str, str], separator: bytes) -> bytes:
    """A new attribute, and before it the declaration of its prefix where there is none.

    Args:
        name: Its name.
        text: Its value.
        prefixes: Prefix -> namespace, to which a new one is added.
        separator: Space before each attribute, such as a line break with an indent.
    """
    declaration = b""
    prefix = next((known for known, namespace in prefixes.items() if namespace == name.namespace), "")
    if not prefix:
        free = (f"{name.prefix}{number or ''}" for number in range(len(prefixes) + 1))
        prefix = next(candidate for candidate in free if candidate not in prefixes)
        prefixes[prefix] = name.namespace
        declaration = separator + f'xmlns:{prefix}="{name.namespace}"'.encode()
    value = _escaped(text, _QUOTED_ESCAPES)
    return declaration + separator + f"{prefix}:{name.local}=".encode() + b'"' + value + b'"'
