"""The outputs that are kept of a step."""

from __future__ import annotations

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
