"""The object pools, for threads and for tasks: one contract for both."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from pytest_perfguard import AsyncObjectPool, NotLent, ObjectPool, PoolClosed, PoolTimeout


class Thing:
    """Counts its users."""

    def __init__(self):
        self.users = 0
        self.resets = 0


class Async:
    """The asynchronous pool behind a synchronous interface: each call runs in one loop."""

    def __init__(self, *args, **kwargs):
        self.loop = asyncio.new_event_loop()
        self.pool = AsyncObjectPool(*args, **kwargs)
        self.loop.run_until_complete(self.pool.open())

    def __getattr__(self, name):
        member = getattr(self.pool, name)
        if name in ("acquire", "release", "shrink", "close"):
            return lambda *args, **kwargs: self.loop.run_until_complete(member(*args, **kwargs))
        return member


@pytest.fixture(params=[ObjectPool, Async], ids=["threads", "asyncio"])
def make_pool(request):
    pools = []

    def make(create=Thing, **options):
        pools.append(request.param(create, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        if isinstance(pool, Async):
            pool.loop.close()


def test_it_is_prefilled_and_reuses_the_object_released_last(make_pool):
    pool = make_pool(initial=3, max_size=5)
    first = pool.acquire()
    pool.release(first)
    assert pool.acquire() is first
    stats = pool.stats()
    assert (stats.size, stats.idle, stats.in_use, stats.created, stats.reused) == (3, 2, 1, 3, 2)


def test_it_grows_to_its_maximum_and_then_times_out_with_the_reason(make_pool):
    pool = make_pool(initial=0, max_size=2, timeout=0.01, name="parsers")
    things = [pool.acquire(), pool.acquire()]
    with pytest.raises(
        PoolTimeout, match=r"parsers: nothing came free within 0.01 s: 2 of 2 are in use, 0 others wait"
    ):
        pool.acquire()
    with pytest.raises(TimeoutError):
        pool.acquire(0)
    for thing in things:
        pool.release(thing)
    stats = pool.stats()
    assert (stats.timeouts, stats.high_water, stats.waiting, stats.acquisitions) == (2, 2, 0, 2)


def test_releasing_twice_and_foreign_objects_are_errors(make_pool):
    pool = make_pool(initial=1, max_size=1)
    thing = pool.acquire()
    pool.release(thing)
    with pytest.raises(NotLent, match="was released already"):
        pool.release(thing)
    with pytest.raises(NotLent, match="is not one that this pool has lent"):
        pool.release(Thing())


def test_an_object_that_cannot_be_reset_is_dropped_and_destroyed(make_pool):
    destroyed = []

    def reset(thing):
        thing.resets += 1
        if thing.resets > 1:
            raise ValueError("stuck")

    pool = make_pool(reset=reset, destroy=destroyed.append, initial=1, max_size=1)
    thing = pool.acquire()
    pool.release(thing)
    assert pool.acquire() is thing
    pool.release(thing)
    assert destroyed == [thing]
    assert pool.acquire() is not thing
    assert pool.stats().destroyed == 1


def test_an_error_of_create_is_raised_at_the_borrower_and_the_place_stays_free(make_pool):
    answers = iter([OSError("no"), Thing()])

    def create():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = make_pool(create, initial=0, max_size=1)
    with pytest.raises(OSError, match="no"):
        pool.acquire()
    assert pool.acquire(0)


def test_shrinking_destroys_the_least_recently_used_idle_objects(make_pool):
    destroyed = []
    pool = make_pool(destroy=destroyed.append, initial=4, max_size=4)
    thing = pool.acquire()
    pool.release(thing)
    assert pool.shrink(1) == 3
    assert thing not in destroyed
    assert pool.stats().idle == 1


def test_a_closed_pool_lends_nothing_and_destroys_released_objects(make_pool):
    destroyed = []
    pool = make_pool(destroy=destroyed.append, initial=2, max_size=2)
    thing = pool.acquire()
    pool.close()
    assert len(destroyed) == 1
    with pytest.raises(PoolClosed):
        pool.acquire()
    pool.release(thing)
    assert destroyed[-1] is thing


def test_a_destroy_that_raises_does_no_harm(make_pool, caplog):
    def destroy(thing):
        raise ValueError("stuck")

    pool = make_pool(destroy=destroy, initial=2, max_size=2)
    assert pool.shrink(0) == 2
    assert "could not be destroyed" in caplog.text


def test_the_stack_of_the_borrower_is_recorded_on_request(make_pool):
    pool = make_pool(initial=1, max_size=1, trace=True)
    pool.acquire()
    (lent,) = pool.not_returned()
    assert any("test_the_stack_of" in line for line in lent.lines())
    assert make_pool(initial=1, max_size=1).not_returned() == []


def test_its_repr_and_statistics_tell_the_state(make_pool):
    pool = make_pool(initial=2, max_size=5, name="parsers")
    pool.acquire()
    assert repr(pool).endswith("ObjectPool parsers: 1 idle, 1 in use, 0 waiting>") or "Async" in repr(pool)
    assert pool.statistics()["in_use"] == 1


@pytest.mark.parametrize(("initial", "most"), [(3, 2), (-1, 2), (0, 0)])
def test_sizes_that_make_no_pool_are_refused(initial, most):
    with pytest.raises(ValueError, match="sizes"):
        ObjectPool(Thing, initial=initial, max_size=most)


def test_a_closing_pool_wakes_a_thread_that_waits():
    pool = ObjectPool(Thing, initial=1, max_size=1)
    pool.acquire()
    caught = []

    def wait():
        try:
            pool.acquire(timeout=60)
        except PoolClosed as error:
            caught.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    while not pool.stats().waiting:
        pass
    pool.close()
    thread.join(30)
    assert caught == ["object pool: the pool was closed while it was waited for"]


def test_32_threads_share_4_objects_and_no_borrower_is_lost():
    pool = ObjectPool(Thing, initial=0, max_size=4, timeout=60)
    problems = []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(200):
            try:
                with pool.item(timeout=0.001 if chance.random() < 0.2 else 60) as thing:
                    thing.users += 1
                    if thing.users != 1:
                        problems.append("lent twice")
                    thing.users -= 1
            except PoolTimeout:
                continue

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    stats = pool.stats()
    assert (problems, stats.in_use, stats.waiting) == ([], 0, 0)
    assert stats.high_water <= stats.size <= 4
    assert stats.acquisitions + stats.timeouts == 32 * 200


def test_1000_tasks_share_10_objects_and_cancellation_loses_nothing():
    async def main():
        pool = AsyncObjectPool(Thing, initial=0, max_size=10, timeout=60)
        problems = []

        async def work(seed):
            chance = random.Random(seed)
            for _ in range(5):
                async with pool.item() as thing:
                    thing.users += 1
                    if thing.users != 1:
                        problems.append("lent twice")
                    try:
                        await asyncio.sleep(chance.choice([0, 0, 0.0001]))
                    finally:
                        thing.users -= 1

        tasks = [asyncio.ensure_future(work(seed)) for seed in range(1000)]
        await asyncio.sleep(0.01)
        for task in tasks[::7]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        unexpected = [error for error in done if error is not None and not isinstance(error, asyncio.CancelledError)]
        return problems, unexpected, pool.stats()

    problems, unexpected, stats = asyncio.run(main())
    assert (problems, unexpected) == ([], [])
    assert (stats.in_use, stats.waiting) == (0, 0)
    assert stats.size <= 10


def test_coroutine_functions_are_awaited():
    log = []

    async def create():
        return "thing"

    async def note(thing):
        log.append(thing)

    async def main():
        async with AsyncObjectPool(create, reset=note, destroy=note, initial=1, max_size=1) as pool:
            async with pool.item() as thing:
                assert thing == "thing"

    asyncio.run(main())
    assert log == ["thing", "thing"]


def test_many_first_borrowers_of_an_asynchronous_pool_share_what_is_made():
    async def main():
        async def create():
            await asyncio.sleep(0)
            return Thing()

        pool = AsyncObjectPool(create, initial=2, max_size=2, timeout=30)

        async def work():
            async with pool.item():
                await asyncio.sleep(0)

        await asyncio.gather(*(work() for _ in range(5)))
        stats = pool.stats()
        await pool.close()
        return stats

    stats = asyncio.run(main())
    assert (stats.size, stats.created, stats.in_use, stats.timeouts) == (2, 2, 0, 0)


def test_objects_that_were_made_before_one_could_not_be_are_destroyed():
    destroyed, made = [], iter([1, 2, None])

    def create():
        thing = next(made)
        if thing is None:
            raise OSError("no")
        return thing

    with pytest.raises(OSError, match="no"):
        ObjectPool(create, destroy=destroyed.append, initial=3)
    assert destroyed == [1, 2]


@pytest.mark.parametrize("role", ["create", "reset", "destroy"])
def test_an_object_whose_call_must_be_awaited_is_refused(role):
    class Make:
        async def __call__(self, *_given):
            return object()

    with pytest.raises(TypeError, match="use AsyncObjectPool"):
        ObjectPool(**{"create": object, role: Make()})
