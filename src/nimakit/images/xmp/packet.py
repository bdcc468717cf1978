"""XMP packets: documents inside image files, with padding that later edits can use."""

from nimakit.images.xmp.statement import EMPTY

PADDING = 2048
"""Bytes of white space in a new packet, as the XMP specification advises."""

_TRAILER = b"<?xpacket end="
_SPACE = b" \t\r\n"


def wrapped(document: bytes = EMPTY) -> bytes:
    """A new packet.

    Args:
        document: A sidecar.
    """
    body = document[document.index(b"<x:xmpmeta") :]
    padding = (b" " * 99 + b"\n") * (PADDING // 100)
    begin = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    return begin + body + padding + _TRAILER + b'"w"?>'


def fitted(packet: bytes, length: int) -> bytes:
    """A packet with as much more or less padding as gives it a length; longer if there is too little padding.

    Args:
        packet: A packet with its trailer; other documents stay as they are.
        length: The length wanted, in bytes.
    """
    place = packet.rfind(_TRAILER)
    if place < 0:
        return packet
    excess = len(packet) - length
    body, trailer = packet[:place], packet[place:]
    if excess <= 0:
        return body + b" " * -excess + trailer
    spare = len(body) - len(body.rstrip(_SPACE))
    return body[: len(body) - excess] + trailer if spare >= excess else packet


def is_blank(packet: bytes) -> bool:
    """Whether there is nothing in a packet, as some programs leave it."""
    return not packet.strip(_SPACE + b"\0")
