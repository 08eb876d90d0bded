"""Requests are carried out in order on their thread, and every outcome is answered."""

import threading
from functools import partial

from textual.message import Message
from textual.message_pump import MessagePump

from engine.errors import UserError
from engine.store.records import CommandRecord
from tests.tui.conftest import RecordingControl
from tui.pending import Pending, by_a_quarter, describe
from tui.requests import Control, Requests


class Answer(Message):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Inbox(MessagePump):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def post_message(self, message: Message) -> bool:
        assert isinstance(message, Answer)
        self.texts.append(message.text)
        return True


async def test_what_is_asked_is_done_in_order_off_the_loop_and_all_of_it_before_the_end() -> None:
    requests, inbox = Requests(RecordingControl), Inbox()
    threads = set()

    def work(number: int, _: Control) -> Message:
        threads.add(threading.current_thread())
        if number == 2:
            raise UserError("lr: -1: not allowed")
        if number == 3:
            raise ZeroDivisionError("a defect")
        return Answer(f"done {number}")

    requests.start()
    for number in range(5):
        requests.submit(inbox, partial(work, number), Answer)
    requests.finish()
    assert inbox.texts == ["done 0", "done 1", "lr: -1: not allowed", "ZeroDivisionError: a defect", "done 4"]
    assert threading.main_thread() not in threads


async def test_silence_is_an_answer_too() -> None:
    requests, inbox = Requests(RecordingControl), Inbox()
    requests.start()

    def start_worker(control: Control) -> None:
        control.ensure_worker(None, "cpu")  # type: ignore[arg-type]

    requests.submit(inbox, start_worker, Answer)
    requests.finish()
    assert inbox.texts == []


def test_a_command_is_pending_from_the_key_to_the_answer_and_never_twice() -> None:
    pending = Pending()
    asked = pending.ask(1, "pause", {})
    assert pending.of(1) == [("pause", {})]
    pending.read(1, (_command(4, "pause", "pending"),))
    pending.saved(asked, 4)
    assert pending.of(1) == [("pause", {})]
    pending.read(1, (_command(4, "pause", "applied"),))
    assert pending.of(1) == []
    assert pending.of(2) == []


def test_a_rejection_is_shown_until_something_else_is_asked() -> None:
    pending = Pending()
    pending.read(1, (_command(4, "pause", "rejected"),))
    rejection = pending.rejection(1)
    assert rejection is not None
    assert rejection.id == 4
    pending.ask(1, "resume", {})
    assert pending.rejection(1) is None


def test_the_next_step_of_the_learning_rate_builds_on_the_pending_one() -> None:
    pending = Pending()
    assert pending.lr(1, 0.01) == 0.01
    pending.ask(1, "set", {"lr": 0.0125})
    pending.ask(1, "pause", {})
    assert pending.lr(1, 0.01) == 0.0125
    assert pending.will_be_paused(1, is_paused=False)
    assert describe("set", {"lr": 0.0125}) == "lr 0.0125"


def test_as_many_steps_down_as_up_come_back_to_the_same_learning_rate() -> None:
    lr = 0.01
    for _ in range(12):
        lr = by_a_quarter(lr, up=True)
    assert abs(lr - 0.01 * 1.25**12) < 1e-6 * lr * 12
    for _ in range(12):
        lr = by_a_quarter(lr, up=False)
    assert lr == 0.01


def _command(number: int, kind: str, status: str) -> CommandRecord:
    return CommandRecord(
        id=number,
        run=1,
        device="cpu",
        kind=kind,
        arguments={},
        requested=0.0,
        who="somebody",
        status=status,
        applied_step=None,
        reason="no" if status == "rejected" else None,
    )
