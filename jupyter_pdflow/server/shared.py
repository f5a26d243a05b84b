"""The parts of the services that work on a database, which any number of processes share."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from jupyter_server.serverapp import ServerApp
from msgspec import Meta, MsgspecError
from msgspec.json import decode, encode

from jupyter_pdflow.engine.pgqueuer_queue import PgQueuerQueue
from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.rules.events import MAX_CRASHES
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.server.public_url import ORIGIN_FILE, PublicAddress, fixed_address
from jupyter_pdflow.server.services import Parts
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores.folders import RunFolders
from jupyter_pdflow.stores.postgres.shared import Shared, read_shared, store_traits
from jupyter_pdflow.stores.postgres.store import PostgresStore

logger = logging.getLogger(__name__)


TYPES: dict[str, Any] = {
    "people": dict[str, str],
    "groups": dict[str, list[str]],
    "max_crashes": Annotated[int, Meta(ge=MAX_CRASHES)],
}
"""The traits that processes share, as they decide about people and limits."""


async def open_shared(settings: Settings, folders: RunFolders, serverapp: ServerApp) -> Parts:
    """Return the store, the queue and the links of a database.

    Raises
    ------
    StorageUnavailableError
        The database can't be reached.
    SchemaError
        Its tables are missing, or of another version.
    ConfigurationError
        No public URL is known, or the connection is one of a pooler in transaction mode.
    """
    shared = await read_shared(settings.database_url)
    public_url = fixed_address(settings.public_url) or shared.public_url
    if not public_url:
        # Each process makes links, and all have to lead to a server that people can reach.
        expected = (
            "the address of a server that people can reach, as there is a database_url; or store "
            "it for all processes: jupyter pdflow migrate --public-url URL"
        )
        raise ConfigurationError(trait="public_url", has_to_be=expected)
    address = PublicAddress(
        public_url,
        serverapp.connection_url,
        serverapp.base_url,
        settings.data_dir / ORIGIN_FILE,
    )
    settings = await with_shared_traits(settings, shared)
    store = PostgresStore(
        settings.database_url,
        folders,
        max_connections=4 + settings.max_kernels,
        limits=settings.limits,
    )
    queue = PgQueuerQueue(settings.database_url, settings.queues, settings.max_kernels)
    return Parts(store, Links(shared.link_keys, address), address, queue, settings)


async def with_shared_traits(settings: Settings, shared: Shared) -> Settings:
    """Return the settings with what other processes have configured about people and limits.

    What is configured here is stored for them. An empty value that is configured takes away what
    was stored: who was in a group does not decide for ever.
    """
    defaults = {"people": {}, "groups": {}, "max_crashes": MAX_CRASHES}
    own = {
        name: getattr(settings, name)
        for name, default in defaults.items()
        if name in settings.configured or getattr(settings, name) != default
    }
    texts = {name: encode(value, order="sorted").decode() for name, value in own.items()}
    changed = {name: text for name, text in texts.items() if shared.traits.get(name) != text}
    for name in changed.keys() & shared.traits.keys():
        logger.warning("PDFlow.%s differs from what another process has stored.", name)
    if changed:
        await store_traits(settings.database_url, changed)
    return replace(settings, **{**_readable(shared.traits, defaults), **own})


def _readable(traits: dict[str, str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the stored traits that have the right shape."""
    found = {}
    for name, text in traits.items():
        with suppress(MsgspecError):
            if name in defaults:
                found[name] = decode(text, type=TYPES[name])
    return found
