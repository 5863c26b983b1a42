"""The page about imports: its mappings can be used, and it names every code, key and type there is."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from firsthand.importing.format import ENDINGS, Format
from firsthand.importing.mapping import Column, load, parse
from firsthand.importing.values import FIELDS, ValueType

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "import.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n)+", PAGE, re.M)


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("text", [block for block in BLOCKS if re.search(r"^    event:", block, re.M)])
def test_each_mapping_on_the_page_can_be_used(text: str):
    assert parse(re.sub(r"^    ", "", text, flags=re.M), env={}).event


def test_the_page_s_example_is_the_one_in_the_folder():
    (text,) = [block for block in BLOCKS if "cdnow-{line}" in block]
    shown = parse(re.sub(r"^    ", "", text, flags=re.M), env={})
    assert shown.digest == load(ROOT / "examples" / "cdnow" / "mapping.yaml", env={}).digest


def test_everything_that_can_be_written_is_named():
    words = {field.encode_name for struct in (Format, Column) for field in msgspec.structs.fields(struct)}
    words |= {*get_args(ValueType), *ENDINGS, *FIELDS} - {"column", "event"}
    assert words - {"column"} <= named(PAGE)


def test_every_code_of_a_reject_is_named():
    codes = set()
    for file in (ROOT / "src" / "firsthand" / "importing").glob("*.py"):
        codes |= set(re.findall(r'BadRow\(\s*"(\w+)"', file.read_text()))
    assert codes - {"too_deep"} <= named(PAGE)  # too_deep is one of the collector's
