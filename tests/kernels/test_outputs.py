"""The outputs that are kept of a step."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_pdflow.kernels.outputs import OutputCollector


def collected(*texts: str) -> str:
    outputs = OutputCollector()
    for text in texts:
        outputs.add({"msg_type": "stream", "content": {"name": "stderr", "text": text}})
    (output,) = outputs.finish()
    return str(output["text"])


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (
            ["\r  0%|   | 0/2", "\r 50%|=  | 1/2", "\r100%|== | 2/2\n", "done\n"],
            "100%|== | 2/2\ndone\n",
        ),
        (["loading ...\rdone"], "doneing ..."),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["a\r"], "a"),
        (["plain\n"], "plain\n"),
        (["ü\r", "é\n"], "é\n"),
    ],
)
def test_text_after_a_carriage_return_overwrites_the_line(texts: list[str], kept: str) -> None:
    assert collected(*texts) == kept


def stream(name: str, text: str) -> dict[str, Any]:
    return {"msg_type": "stream", "content": {"name": name, "text": text}}


def test_a_bar_between_prints_is_shown_once() -> None:
    outputs = OutputCollector()
    for number in range(3):
        outputs.add(stream("stderr", f"\r{number}/3"))
        outputs.add(stream("stdout", f"{number}\n"))
    outputs.add(stream("stderr", "\r3/3\n"))
    assert [(each["name"], each["text"]) for each in outputs.finish()] == [
        ("stdout", "0\n1\n2\n"),
        ("stderr", "3/3\n"),
    ]


def test_a_bar_that_moves_for_hours_does_not_reach_the_limit() -> None:
    outputs = OutputCollector(limit=100)
    for number in range(1000):
        outputs.add(stream("stderr", f"\r{number}/1000"))
    (output,) = outputs.finish()
    assert output["text"] == "999/1000"


def test_the_last_output_says_what_was_dropped() -> None:
    outputs = OutputCollector(limit=10)
    outputs.add(stream("stdout", "12345678ä"))
    outputs.add(stream("stdout", "ä"))
    version = outputs.version
    outputs.add(stream("stdout", "more"))
    kept, note = outputs.finish()
    assert kept["text"] == "12345678ä"
    assert note["text"] == "… output of 6 more bytes was dropped (limit 1e-05 MB)\n"
    assert outputs.version == version  # else it would be stored again and again
    outputs.add({"msg_type": "clear_output", "content": {"wait": True}})
    outputs.add(stream("stdout", "new"))
    assert [each["text"] for each in outputs.finish()] == ["new"]
