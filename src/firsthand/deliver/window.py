"""How far a lane is: the cursor moves over an event once it and all before it are settled."""

from collections import deque
from collections.abc import Mapping

from firsthand.eventlog.base import Position


class Place:
    """An event's place in the window."""

    __slots__ = ("position", "settled")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.settled = False


class Window:
    """What was read and is not behind the cursors yet, in log order, per shard."""

    def __init__(self, cursors: Mapping[int, Position]) -> None:
        self._cursors = dict(cursors)
        self._committed = dict(cursors)
        self._places: dict[int, deque[Place]] = {shard: deque() for shard in cursors}

    def __len__(self) -> int:
        """The longest way that reading is ahead of a cursor: one slow request holds the cursor up."""
        for shard in self._places:
            self.cursor(shard)
        return max(map(len, self._places.values()))

    @property
    def shards(self) -> list[int]:
        return list(self._places)

    def add(self, shard: int, position: Position) -> Place:
        place = Place(position)
        self._places[shard].append(place)
        return place

    def cursor(self, shard: int) -> Position:
        """Everything at or before it is settled."""
        places = self._places[shard]
        while places and places[0].settled:
            self._cursors[shard] = places.popleft().position
        return self._cursors[shard]

    def is_empty(self, shard: int) -> bool:
        self.cursor(shard)
        return not self._places[shard]

    def jump(self, shard: int, position: Position) -> None:
        """What lies up to there is settled all at once. Only for an empty window."""
        self._cursors[shard] = position

    def moved(self) -> dict[int, Position]:
        """The cursors that moved since this was last asked."""
        moved = {}
        for shard in self._places:
            cursor = self.cursor(shard)
            if cursor != self._committed[shard]:
                moved[shard] = self._committed[shard] = cursor
        return moved
