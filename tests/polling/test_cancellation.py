"""What is told to end, and when it knows."""

import gc
import threading
import time
import weakref

from support.waiting import SOON

from lmconv_resource.polling.runtime import RUNTIME, Cancellation, Runtime


def test_listeners_are_called_once_and_at_once_if_it_is_set_already() -> None:
    """The first reason stays. A listener is told whenever it subscribes; two subscriptions of one callable are two."""
    cancellation, calls = Cancellation(), list[str]()
    assert (cancellation.is_set, cancellation.reason) == (False, None)

    def listener() -> None:
        calls.append("early")

    unsubscribe = cancellation.subscribe(listener)
    cancellation.subscribe(listener)
    unsubscribe()
    cancellation.set("the update was cancelled")
    cancellation.set("the engine is gone")
    cancellation.subscribe(lambda: calls.append("late"))
    assert (cancellation.is_set, cancellation.reason) == (True, "the update was cancelled")
    assert calls == ["early", "late"]


def test_a_child_ends_with_its_parent_and_not_the_other_way_round() -> None:
    parent = Cancellation()
    first, second, calls = Cancellation(parent), Cancellation(parent), list[str]()
    second.subscribe(lambda: calls.append("second"))
    first.set("only this one")
    assert (parent.is_set, second.is_set) == (False, False)
    parent.set("all")
    assert (first.reason, second.reason, calls) == ("only this one", "all", ["second"])
    assert Cancellation(parent).reason == "all"


def test_a_closed_child_leaves_nothing_behind() -> None:
    parent = Cancellation()
    with Cancellation(parent) as child:
        gone = weakref.ref(child)
    del child
    gc.collect()
    assert gone() is None


def test_a_deadline_sets_without_a_reason() -> None:
    """At its deadline it counts as set; the earlier of its own and its parent's holds."""
    now = [100.0]
    parent = Cancellation(deadline=130.0, runtime=Runtime(now=lambda: now[0]))
    early = Cancellation(parent, deadline=110.0, runtime=Runtime(now=lambda: now[0]))
    late = Cancellation(parent, deadline=1000.0, runtime=Runtime(now=lambda: now[0]))
    assert (early.remaining(5.0), late.remaining(5.0), Cancellation().remaining(5.0)) == (10.0, 30.0, 5.0)
    assert not early.is_set
    now[0] = 110.0
    assert (early.is_set, early.reason, early.remaining(5.0)) == (True, None, 0.0)
    assert not late.is_set
    now[0] = 131.0
    assert late.is_set


def test_waiting_ends_early_when_it_is_set() -> None:
    """A pause is slept to its end, or ends at once when the cancellation is set, its parent's too, or expires."""
    parent = Cancellation()
    child = Cancellation(parent)
    assert child.wait(0.01) is False
    threading.Timer(0.05, parent.set, ["now"]).start()
    began = time.monotonic()
    assert child.wait(120) is True
    assert Cancellation(deadline=RUNTIME.now() + 0.05).wait(120) is True
    assert time.monotonic() - began < SOON
