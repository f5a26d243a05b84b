"""A service of Restate: ``python restate_work.py PORT`` serves it and prints times."""

from __future__ import annotations

import asyncio
import sys
import time

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

approval = restate.Service("Approval")


@approval.handler()
async def ask(ctx: restate.Context, number: int) -> None:
    name, answer = ctx.awakeable()
    print("waits", number, name, flush=True)
    await answer
    now = time.time_ns()
    print("goes", number, now, flush=True)


config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
asyncio.run(serve(restate.app([approval]), config))
