"""Who publishes for whom: every item once, in groups that come one at a time, in the order of their coming."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Sequence

import pytest

from zerodb_storage.group_commit import GroupCommit, Ticket


class Publisher:
    """Fails for odd items that say so, and for whole groups with a 13 in them; counts who is inside."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.commits: GroupCommit[int] = GroupCommit(self.publish)
        self.groups: list[list[int]] = []
        self.inside = 0
        self.seconds = seconds

    def publish(self, tickets: Sequence[Ticket[int]]) -> None:
        self.inside += 1
        assert self.inside == 1
        time.sleep(self.seconds)
        self.groups.append([ticket.item for ticket in tickets])
        try:
            for ticket in tickets:
                if ticket.item % 1000 == 13:
                    raise OSError(ticket.item)
                if ticket.item % 1000 == 7:
                    ticket.error = ValueError(ticket.item)
                ticket.is_done = True
        finally:
            self.inside -= 1


def test_every_item_is_published_once() -> None:
    publisher = Publisher(0.0005)
    ends: dict[int, str] = {}
    alone = []

    def work(thread: int) -> None:
        generator = random.Random(thread)
        for number in range(60):
            item = thread * 1000 + number
            try:
                publisher.commits.commit(item)
                ends[item] = "done"
            except (ValueError, OSError) as error:
                ends[item] = type(error).__name__
            if generator.random() < 0.1:
                with publisher.commits.alone(generator.choice([None, 0.0001, 5.0])) as mine:
                    if mine:
                        assert not publisher.inside
                        publisher.inside += 1
                        alone.append(item)
                        publisher.inside -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    published = [item for group in publisher.groups for item in group]
    assert sorted(published) == sorted(ends) == [thread * 1000 + n for thread in range(12) for n in range(60)]
    assert max(map(len, publisher.groups)) > 3
    assert alone
    for group in publisher.groups:
        until = next((place for place, item in enumerate(group) if item % 1000 == 13), len(group))
        for place, item in enumerate(group):
            expected = "ValueError" if item % 1000 == 7 and place < until else "done" if place < until else "OSError"
            assert ends[item] == expected
    publisher.commits.commit(1)  # its turn is free again


def test_a_turn_that_does_not_come_in_time() -> None:
    publisher = Publisher()
    with publisher.commits.alone() as first:
        assert first
        begun = time.monotonic()
        with publisher.commits.alone(0.05) as second:
            assert not second
        assert 0.04 < time.monotonic() - begun < 5
        late = threading.Thread(target=publisher.commits.commit, args=(2,))
        late.start()
        time.sleep(0.05)
        assert publisher.groups == []
    late.join(5)
    assert publisher.groups == [[2]]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
@pytest.mark.parametrize("before_it", [1, 2])
def test_who_is_interrupted_holds_nobody_up(before_it: int) -> None:
    """What a signal's handler raises comes when the item is published, and the others are, too; as a leader and led."""

    class Interruption(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interruption

    publisher = Publisher(0.3)
    others = [threading.Thread(target=publisher.commits.commit, args=(number,)) for number in range(4)]
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for other in others[:before_it]:
            other.start()
            time.sleep(0.02)
        late = threading.Timer(0.1, lambda: [other.start() for other in others[before_it:]])
        late.start()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Interruption):
            publisher.commits.commit(9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    late.join()
    for other in others:
        other.join(10)
        assert not other.is_alive()
    assert sorted(item for group in publisher.groups for item in group) == [0, 1, 2, 3, 9]
    assert len(publisher.groups) == 2
