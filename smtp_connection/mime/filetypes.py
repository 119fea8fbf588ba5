"""Media types of files, by the ends of their names.

A table of our own: what Python's ``mimetypes`` says depends on the files of the host and on the
release.  An end that is not here is ``application/octet-stream``, as every reader understands.
"""

from __future__ import annotations

__all__ = ["OPAQUE", "extension_of", "type_of"]

OPAQUE = "application/octet-stream"
"""The type of what has no better one."""

# Each type with the ends of names that it has.  What has no name gets the first one; an end of two
# types belongs to the later one.
_TABLE = """
application/epub+zip epub
application/geo+json geojson
application/gzip gz tgz
application/ics ics
application/java-archive jar
application/json json
application/jsonl jsonl ndjson
application/ld+json jsonld
application/manifest+json webmanifest
application/msword doc dot
application/ogg ogx
application/pdf pdf
application/pgp-encrypted pgp
application/pgp-signature sig asc
application/pkcs10 p10
application/pkcs7-mime p7m p7c
application/pkcs7-signature p7s
application/pkcs8 p8
application/pkix-cert cer
application/pkix-crl crl
application/postscript ps ai eps
application/rtf rtf
application/sql sql
application/vnd.android.package-archive apk
application/vnd.apple.keynote key
application/vnd.apple.numbers numbers
application/vnd.apple.pages pages
application/vnd.apple.pkpass pkpass
application/vnd.google-earth.kml+xml kml
application/vnd.google-earth.kmz kmz
application/vnd.ms-excel xls xlt xlm xla xlw
application/vnd.ms-excel.addin.macroenabled.12 xlam
application/vnd.ms-excel.sheet.binary.macroenabled.12 xlsb
application/vnd.ms-excel.sheet.macroenabled.12 xlsm
application/vnd.ms-excel.template.macroenabled.12 xltm
application/vnd.ms-outlook msg
application/vnd.ms-powerpoint ppt pps pot
application/vnd.ms-powerpoint.presentation.macroenabled.12 pptm
application/vnd.ms-powerpoint.slideshow.macroenabled.12 ppsm
application/vnd.ms-project mpp mpt
application/vnd.ms-word.document.macroenabled.12 docm
application/vnd.ms-word.template.macroenabled.12 dotm
application/vnd.oasis.opendocument.formula odf
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.presentationml.slideshow ppsx
application/vnd.openxmlformats-officedocument.presentationml.template potx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.spreadsheetml.template xltx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.openxmlformats-officedocument.wordprocessingml.template dotx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3
application/vnd.visio vsd vst
application/vnd.visio.drawing vsdx
application/wasm wasm
application/x-7z-compressed 7z
application/x-apple-diskimage dmg
application/x-bzip2 bz2
application/x-cpio cpio
application/x-debian-package deb
application/x-iso9660-image iso
application/x-msdownload exe dll msi
application/x-pem-file pem
application/x-pkcs12 p12 pfx
application/x-rpm rpm
application/x-sh sh
application/x-tar tar
application/x-x509-ca-cert crt der
application/x-xz xz
application/xhtml+xml xhtml xht
application/xml xml xsl xsd
application/xslt+xml xslt
application/yaml yaml yml
application/zip zip
application/zstd zst
audio/aac aac
audio/aiff aif aiff aifc
audio/amr amr
audio/basic au snd
audio/flac flac
audio/midi mid midi
audio/mp4 m4a
audio/mpeg mp3 mp2 mpga
audio/ogg oga ogg opus spx
audio/wav wav
audio/webm weba
audio/x-ms-wma wma
chemical/x-pdb pdb
font/collection ttc
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/apng apng
image/avif avif
image/bmp bmp
image/emf emf
image/gif gif
image/heic heic
image/heif heif
image/jp2 jp2
image/jpeg jpg jpeg jpe jfif
image/jxl jxl
image/png png
image/svg+xml svg svgz
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.djvu djvu djv
image/vnd.dxf dxf
image/vnd.dwg dwg
image/vnd.microsoft.icon ico
image/webp webp
image/wmf wmf
message/rfc822 eml
model/gltf+json gltf
model/gltf-binary glb
model/stl stl
text/calendar ics
text/css css
text/csv csv
text/html html htm
text/markdown md markdown
text/javascript js mjs cjs
text/plain txt text log conf ini cfg
text/richtext rtx
text/tab-separated-values tsv
text/troff roff
text/vcard vcf vcard
text/vtt vtt
text/x-c c h cc cpp hpp
text/x-diff diff patch
text/x-java-source java
text/x-python py
video/3gpp 3gp
video/3gpp2 3g2
video/mp2t m2ts
video/mp4 mp4 m4v
video/mpeg mpg mpeg mpe
video/ogg ogv
video/quicktime mov qt
video/webm webm
video/x-flv flv
video/x-matroska mkv
video/x-ms-wmv wmv
video/x-msvideo avi
"""

_types: dict[str, str] = {}
_extensions: dict[str, str] = {OPAQUE: "bin"}


def _read_table() -> None:
    for line in _TABLE.split("\n")[1:-1]:
        kind, *ends = line.split(" ")
        _extensions[kind] = ends[0]
        _types.update(dict.fromkeys(ends, kind))


def type_of(filename: str) -> str:
    """Return the media type of a file of that name."""
    if not _types:
        _read_table()
    stem, dot, end = filename.rpartition(".")
    return _types.get(end.lower(), OPAQUE) if dot and stem else OPAQUE


def extension_of(kind: str) -> str:
    """Return what the name of a file of the media type ``kind`` ends with, dot included."""
    if not _types:
        _read_table()
    found = _extensions.get(kind.lower())
    if found is None:
        found = "txt" if kind.lower().startswith("text/") else "bin"
    return f".{found}"
