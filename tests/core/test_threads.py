"""Fewer threads while others hold the processors, and all of them again afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from threedpsp.threads import LONGEST_PATIENCE, PATIENCE, ThreadCount, as_many_threads_as_pay, thread_times


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock, and threads of this process that run and wait as they are told."""

    def __init__(self) -> None:
        self.now = self.ran = self.waited = 0.0
        self.processors = 8
        self.count = ThreadCount(lambda: (self.ran, self.waited), lambda: self.now, lambda: self.processors)

    def work(self, waiting: float, seconds: float = 1.0) -> int:
        """A piece of work in which so much of the time is waiting; answers how many threads it had."""
        with self.count.applied():
            self.now += seconds
            self.ran += seconds * (1 - waiting)
            self.waited += seconds * waiting
            used = torch.get_num_threads()
        assert torch.get_num_threads() == 4
        return used


def test_a_quiet_machine_gives_all_threads() -> None:
    machine = Machine()
    assert [machine.work(0.02) for _ in range(5)] == [4] * 5


def test_threads_that_wait_are_left_out_at_once() -> None:
    machine = Machine()
    assert [machine.work(waiting) for waiting in (0.6, 0.6, 0.6, 0.6)] == [4, 1, 1, 1]


def test_a_process_that_waited_while_it_started_begins_with_few_threads() -> None:
    machine = Machine()
    machine.ran, machine.waited = 2.0, 2.0
    assert machine.work(0.0) == 2


def test_a_quarter_of_the_machine_in_use_costs_a_quarter_of_the_threads() -> None:
    machine = Machine()
    machine.work(0.25)
    assert machine.work(0.0) == 3


def test_all_threads_come_back_when_the_others_are_gone() -> None:
    machine = Machine()
    machine.work(0.6)
    used = [machine.work(0.0) for _ in range(int(PATIENCE) + 3)]
    assert used[0] == 1 and used[-1] == 4


def test_trying_in_vain_becomes_rare() -> None:
    machine = Machine()
    tries = []
    for step in range(600):
        with machine.count.applied():  # one busy neighbour: one thread finds room, four do not
            used = torch.get_num_threads()
            machine.now += 1.0
            machine.ran += 0.7
            machine.waited += 0.3 if used > 3 else 0.0
        tries += [step] if used == 4 else []
    gaps = [after - before for before, after in zip(tries, tries[1:], strict=False)]
    assert gaps[0] <= 2 * PATIENCE + 3 and LONGEST_PATIENCE <= gaps[-1] <= LONGEST_PATIENCE + 3


def test_moments_too_short_to_tell_change_nothing() -> None:
    machine = Machine()
    machine.work(1.0, seconds=0.05)
    assert machine.work(0.0) == 4


@pytest.mark.parametrize("processors", [1, 2, 3])
def test_there_are_no_more_threads_than_processors_for_them(processors: int) -> None:
    machine = Machine()
    machine.processors = processors
    assert [machine.work(0.02) for _ in range(3)] == [processors] * 3


def test_processors_that_are_given_later_are_used() -> None:
    machine = Machine()
    machine.processors = 1
    machine.work(0.0)
    machine.processors = 3
    assert [machine.work(0.0) for _ in range(3)] == [1, 3, 3]


def test_pieces_of_work_inside_others_learn_and_find_all_threads_again() -> None:
    machine = Machine()
    with machine.count.applied():
        seen = []
        for waiting in (0.6, *[0.0] * (int(PATIENCE) + 2)):
            with machine.count.applied():
                seen.append(torch.get_num_threads())
                machine.now += 1.0
                machine.ran += 1 - waiting
                machine.waited += waiting
    assert seen[:2] == [4, 1] and seen[-1] == 4
    assert torch.get_num_threads() == 4


def test_a_function_can_be_marked() -> None:
    @as_many_threads_as_pay()
    def twice(number: int) -> int:
        return 2 * number

    assert [twice(1), twice(2)] == [2, 4]


def test_an_error_inside_leaves_the_threads_as_they_were() -> None:
    with pytest.raises(RuntimeError), as_many_threads_as_pay():
        raise RuntimeError
    assert torch.get_num_threads() == 4


def test_the_system_tells_how_long_threads_ran() -> None:
    if thread_times() == (0.0, 0.0):
        pytest.skip("this system does not tell how long threads waited")
    before = thread_times()[0]
    torch.randn(600, 600) @ torch.randn(600, 600)
    assert thread_times()[0] > before
