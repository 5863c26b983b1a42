"""The bits that the IAB's strings consist of, in base64url."""

import base64
import re

_BASE64URL = re.compile("[A-Za-z0-9_-]+")


class Bits:
    """The bits of a base64url text, read from left to right. What is none, or ends before its time: ValueError."""

    def __init__(self, text: str) -> None:
        if not _BASE64URL.fullmatch(text):
            raise ValueError("it is not base64url text" if text else "it is empty")
        # Filled up with "A" (zero bits) instead of "=", as some CMPs write lengths that base64 proper does not have.
        number = int.from_bytes(base64.urlsafe_b64decode(text + "A" * (-len(text) % 4)))
        self.bits = f"{number:0{(len(text) + 3) // 4 * 24}b}"[: len(text) * 6]
        self.at = 0

    def take(self, count: int) -> str:
        start, self.at = self.at, self.at + count
        if self.at > len(self.bits):
            raise ValueError(f"it is cut short: {len(self.bits)} bits, and at least {self.at} are needed")
        return self.bits[start : self.at]

    def number(self, count: int) -> int:
        return int(self.take(count), 2)

    def fibonacci(self) -> int:
        """A number from 1 as a sum of Fibonacci numbers, the smallest first; two ones in a row end it."""
        total, one, next = 0, 1, 2
        before = "0"
        while (bit := self.take(1)) + before != "11":
            total += one if bit == "1" else 0
            one, next, before = next, one + next, bit
        return total
