"""Flow control: the unread bytes of a client are limited, and pongs acknowledge them."""

from realtime.connection.send_window import SendWindow


def test_the_window_closes_when_it_is_full_and_opens_by_a_pong():
    window = SendWindow(100)
    assert not window.count(49, 0)
    assert window.count(50, 0)  # half of it since the last mark: a ping is due
    assert window.is_open
    window.count(1, 0)
    assert not window.is_open
    assert window.acknowledge()
    assert window.is_open


def test_an_answer_tells_of_what_was_sent_before_its_ping():
    window = SendWindow(100)
    window.count(40, 1)
    window.count(99, 1)
    assert window.acknowledge()
    assert window.is_open  # 99 are under way
    window.count(1, 0)
    assert not window.is_open


def test_a_ping_that_goes_along_is_the_mark_that_is_due():
    window = SendWindow(100)
    assert not window.count(60, 1)
    assert not window.count(49, 0)
    assert window.count(1, 0)


def test_additional_pongs_gain_nothing():
    window = SendWindow(100)
    assert not window.acknowledge()
    window.count(100, 1)
    assert window.acknowledge()
    assert not window.acknowledge()
    window.count(100, 0)
    assert not window.is_open


def test_below_the_quiet_mark_nothing_is_due_and_the_window_is_open():
    window = SendWindow(100)
    window.count(30, 1)
    for _ in range(2):
        quiet_until = window.quiet_until
        window.sent_bytes = quiet_until - 1
        assert window.is_open
        assert window.count(1, 0) or not window.is_open
        window.acknowledge()
