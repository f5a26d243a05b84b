"""What is left behind by kernels, counted in a process that does nothing else.

``python -m tests.kernels.leaks FOLDER`` fails where it holds more after ten kernels than after one.
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


async def count(folder: str) -> None:
    app = ServerApp(root_dir=folder, log_level="ERROR")
    app.init_configurables()
    app.init_event_logger()
    manager = production_manager(app)
    try:
        await cycle(manager, app)
        before = await held()
        for _ in range(10):
            await cycle(manager, app)
        after = await held()
        assert after == before, (before, after)
    finally:
        close_manager(manager)
        app.kernel_manager.context.destroy(linger=0)


async def cycle(manager: Any, app: ServerApp) -> None:
    kernel = await Kernel.start(manager, "python3", "")
    assert (await kernel.listen())["status"] == "ok"
    await kernel.close(now=True)


async def held() -> tuple[int, ...]:
    """Count descriptors, threads and tasks, when those that are about to go are gone.

    ZeroMQ closes sockets in a thread of its own, some time after it was told to.
    """
    counts = []
    for _ in range(20):
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd"))
        counts.append((descriptors, threading.active_count(), len(asyncio.all_tasks())))
        await asyncio.sleep(0.1)
    return min(counts)


if __name__ == "__main__":
    asyncio.run(count(sys.argv[1]))
