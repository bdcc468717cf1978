"""XMP as several programs write it, JPEGs with it, and comparisons of what must not change."""

import io
import struct
from pathlib import Path

from PIL import Image

MAIN = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="3"
   darktable:xmp_version="5">
   <darktable:colorlabels>
    <rdf:Seq>
     <rdf:li>1</rdf:li>
     <rdf:li>4</rdf:li>
    </rdf:Seq>
   </darktable:colorlabels>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:operation="exposure" xmp:Rating="1"
      darktable:params="gz12&amp;&lt;=="/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
"""Attributes, a history with an attribute of the same name, and colours as a list."""

EXIFTOOL = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='Image::ExifTool 12.57'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>

 <rdf:Description rdf:about=''
  xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <dc:title>
   <rdf:Alt>
    <rdf:li xml:lang='x-default'>Zürich &amp; "lake"</rdf:li>
   </rdf:Alt>
  </dc:title>
 </rdf:Description>

 <rdf:Description rdf:about=''
  xmlns:a='http://ns.adobe.com/xap/1.0/'>
  <!-- <a:Rating>1</a:Rating> -->
  <a:Rating>4</a:Rating>
  <a:Label/>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
{padding}
<?xpacket end='w'?>""".replace("{padding}", " " * 100)
"""Elements, another prefix than usual, an empty element, and a packet with padding."""


def sidecar(attributes: str = "", elements: str = "") -> bytes:
    """A sidecar with properties as attributes and as elements."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:digiKam="http://www.digikam.org/ns/1.0/"'
        f" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def app(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(*segments: bytes) -> bytes:
    """A JPEG with segments after its JFIF header."""
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(stream, "JPEG")
    data = stream.getvalue()
    place = 4 + int.from_bytes(data[4:6], "big")
    return data[:place] + b"".join(segments) + data[place:]


def pixels(source: Path | bytes) -> bytes:
    """What a picture decodes to."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return image.tobytes()
