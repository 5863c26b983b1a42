"""What an event meets that a lane has read: those that wait for what it brings are let go first, what this integration
does not take is filtered, and the rest waits for its turn."""

from collections.abc import Callable, Mapping
from typing import Protocol

from firsthand.consent import GivenAnswer, is_answer
from firsthand.deliver.attempt import Attempts
from firsthand.deliver.holding import Holding
from firsthand.deliver.item import Item
from firsthand.event import Event, canonical_name, moment

NO_URLS: frozenset[str] = frozenset()


class Enqueue(Protocol):
    def __call__(self, item: Item, visitor: int | None = None) -> None:
        """Let it wait for its turn among what its visitor, or another one, has there already."""
        ...


class Intake:
    """Of one lane. `home_urls` are the home pages of each source; `finish` is told of what needs no request."""

    def __init__(
        self,
        attempts: Attempts,
        holding: Holding,
        home_urls: Mapping[str, frozenset[str]],
        enqueue: Enqueue,
        finish: Callable[[Item], None],
    ) -> None:
        self._attempts = attempts
        self._holding = holding
        self._home_urls = home_urls
        self._enqueue = enqueue
        self._finish = finish

    def take(self, item: Item, event: Event) -> None:
        """Of the live lane."""
        if len(self._holding):
            self._release(item, event)
        self.queue(item, event)

    def queue(self, item: Item, event: Event) -> None:
        """Let it wait for its turn, unless this integration does not take such events."""
        delivery, attempts = item.delivery, self._attempts
        delivery.message_id = event.message_id
        item.event = event
        item.name = item.name or canonical_name(event, self._home_urls.get(delivery.source, NO_URLS))
        delivery.detail.name = item.name
        unwanted = attempts.unwanted(event, item.name)
        if attempts.gone.fate(delivery) == "theirs":
            attempts.erased(item)
        elif unwanted is not None:
            attempts.filtered(item, unwanted)
        else:
            self._enqueue(item)
            return
        self._finish(item)

    def _release(self, item: Item, event: Event) -> None:
        """What an event's visitor has waiting for what it brings, an answer on consent or the vendor's id, goes before
        the event."""
        delivery, attempts = item.delivery, self._attempts
        consent, answer = event.context.get("consent"), None
        if isinstance(consent, dict) and is_answer(consent) and attempts.permission.settles(consent):
            answer = GivenAnswer(consent, moment(event, delivery.received_ms))
        id = attempts.identifier.brings(event)
        if answer is not None or id:
            for waiting in self._holding.take_of(delivery.source, event, answer, id):
                self._enqueue(waiting, delivery.visitor)
