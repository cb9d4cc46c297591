"""Bytes that are not text: a text read in the wrong encoding (maÃ±ana), HTML's names for characters (&iquest;), repaired
where it is certain. What is left of such damage is reported as unknown, never read into a voice."""

import html
import re

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,10});")
# what UTF-8 looks like where it was read as Windows-1252 or Latin-1: a letter that Spanish lacks and a sign behind it
MISREAD = re.compile("[ÃÂâÅÐ][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|ï»¿|\ufeff")
BROKEN = "[ÃÂâÅÐ][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2018-\u203a\u20ac\u2122]{1,2}|\ufffd"


def repaired(text: str) -> str:
    """The text as it was meant."""
    for _ in range(2):  # &amp;ntilde; is an entity of an entity
        if not ENTITY.search(text):
            break
        text = ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
    if text.isascii() or not MISREAD.search(text):
        return text
    import ftfy  # here: it takes as long to import as the whole front end, and few texts need it

    mended = ftfy.fix_encoding(text.lstrip("\ufeff"))
    return text.lstrip("\ufeff") if "\ufffd" in mended and "\ufffd" not in text else mended
