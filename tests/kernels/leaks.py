"""Count the file descriptors, threads and tasks that kernels leave behind in this process.

``python -m tests.kernels.leaks FOLDER`` fails if there are more after ten kernels than after one.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from typing import Any

from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.kernels.kernel import Kernel
from jupyter_pdflow.kernels.manager import close_manager, production_manager


async def check(folder: str) -> None:
    app = ServerApp(root_dir=folder, log_level="ERROR")
    app.init_configurables()
    app.init_event_logger()
    manager = production_manager(app)
    try:
        await start_and_close(manager, app)
        before = await count_resources()
        for _ in range(10):
            await start_and_close(manager, app)
        after = await count_resources()
        assert after == before, (before, after)
    finally:
        close_manager(manager)
        app.kernel_manager.context.destroy(linger=0)


async def start_and_close(manager: Any, app: ServerApp) -> None:
    kernel = await Kernel.start(manager, "python3", "")
    assert (await kernel.load_worker())["status"] == "ok"
    await kernel.close(now=True)


async def count_resources() -> tuple[int, ...]:
    """Count descriptors, threads and tasks, without those that are about to be freed.

    ZeroMQ closes sockets in a thread of its own, some time after `close` was called.
    """
    counts = []
    for _ in range(20):
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd"))
        counts.append((descriptors, threading.active_count(), len(asyncio.all_tasks())))
        await asyncio.sleep(0.1)
    return min(counts)


if __name__ == "__main__":
    asyncio.run(check(sys.argv[1]))
