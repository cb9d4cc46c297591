"""Who computes next: requests take turns piece by piece, so that a long text does not keep short ones waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chatterbox_es.server.api_error import ApiError

RETRY_SECONDS = 5
Piece = TypeVar("Piece")
Result = TypeVar("Result")
END = object()


class Turns:
    """A few threads, and a line of what waits for them in which each request has one piece of work at a time."""

    def __init__(self, threads: int, most: int):
        """``most`` requests are taken at once, those that wait included."""
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="speaking")
        self.most, self.taken = most, 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place among the requests that are taken.

        Raises:
            ApiError: there is none.
        """
        if self.taken >= self.most:
            raise ApiError(429, f"{self.taken} requests are being answered, which is as many as this server takes; try again",
                           code="too_many_requests", headers={"Retry-After": str(RETRY_SECONDS)})
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def take(self, work: Callable[[], Result]) -> Result:
        """One piece of work, when its turn has come."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def pieces(self, pieces: Iterator[Piece]) -> AsyncIterator[Piece]:
        """Each piece when it is its turn; the next is not begun before this one has been taken, so that a slow reader neither
        fills the memory nor keeps a thread."""
        while True:
            piece = await self.take(lambda: next(pieces, END))
            if piece is END:
                return
            yield piece  # type: ignore[misc]
