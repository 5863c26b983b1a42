"""How a file is written: its type, its columns, its encoding."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from firsthand.config.document import Document
from firsthand.config.values import shown
from firsthand.importing.faults import ImportFailed

FileType = Literal["csv", "jsonl", "parquet"]
DELIMITERS = {"whitespace": None, "tab": "\t"}
ENDINGS: dict[str, tuple[FileType, str]] = {
    ".csv": ("csv", ","),
    ".tsv": ("csv", "tab"),
    ".jsonl": ("jsonl", ","),
    ".ndjson": ("jsonl", ","),
    ".json": ("jsonl", ","),
    ".parquet": ("parquet", ","),
}


class Format(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: FileType | None = None
    """None: by the file's name."""
    delimiter: str | None = None
    """A character, `whitespace` for any run of blanks, or `tab`. None: a comma, or by the file's name."""
    header: bool | None = None
    """Whether the first line names the columns. None: it does where `columns` doesn't."""
    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"

    @property
    def has_header(self) -> bool:
        return self.columns is None if self.header is None else self.header

    @property
    def separator(self) -> str | None:
        """The character between two cells; None for blanks."""
        return DELIMITERS.get(self.delimiter or ",", self.delimiter or ",")


def check(document: Document, format: Format, written: Mapping[str, Any]) -> None:
    """Note what is wrong with the format in a mapping file."""
    if format.type in ("jsonl", "parquet"):
        for key in ("delimiter", "header", "columns"):
            if key in written:
                document.fault(("format", key), f"{format.type} has none", "leave it out, or say type: csv")
    delimiter = format.delimiter
    if delimiter is not None and delimiter not in DELIMITERS and (len(delimiter) != 1 or delimiter in '"\r\n'):
        remedy = 'give one character, such as ";", or tab, or whitespace for any run of blanks'
        document.fault(("format", "delimiter"), f"{shown(delimiter)} is no delimiter", remedy)
    if not format.has_header and not format.columns:
        document.fault(("format", "columns"), "the columns have no names", "name them, or say header: true")
    names = list(format.columns or ())
    for column in dict.fromkeys(name for name in names if names.count(name) > 1):
        document.fault(("format", "columns"), f"{shown(column)} stands there twice", "give each its own name")
    if not _has_ascii(format.encoding):
        remedy = "give one like utf-8, latin-1 or cp1252; make UTF-16 UTF-8 first, as with iconv -f utf-16 -t utf-8"
        document.fault(("format", "encoding"), f"{shown(format.encoding)} can't be read", remedy)


def _has_ascii(encoding: str) -> bool:
    """Whether lines can be found in it as bytes."""
    try:
        return b"\n\r\t\"',;|09AZaz".decode(encoding) == "\n\r\t\"',;|09AZaz"
    except (LookupError, UnicodeError):
        return False


def complete(format: Format, name: str) -> Format:
    """The format with what the file's name tells. Raises ImportFailed where that is nothing."""
    plain = name.lower().removesuffix(".gz")
    ending = next((ending for ending in ENDINGS if plain.endswith(ending)), None)
    if format.type is None and ending is None and not (format.columns or format.header or format.delimiter):
        raise ImportFailed(
            f"{name} doesn't say what it is: name it {', '.join(ENDINGS)}, or give a mapping (--map)"
            " with format: {type: csv}"
        )
    type, delimiter = ENDINGS[ending] if ending else ("csv", ",")
    if format.type not in (None, "csv"):
        delimiter = ","
    return msgspec.structs.replace(
        format, type=format.type or type, delimiter=format.delimiter if format.delimiter is not None else delimiter
    )
