"""The parts of the services that work on a database, which any number of processes share."""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp

from jupyter_pdflow.engine.pgqueuer_queue import PgQueuerQueue
from jupyter_pdflow.exceptions import ConfigurationError
from jupyter_pdflow.server.links.tokens import Links
from jupyter_pdflow.server.public_url import ORIGIN_FILE, PublicAddress, fixed_address
from jupyter_pdflow.server.services import Parts
from jupyter_pdflow.settings import Settings
from jupyter_pdflow.stores.postgres.shared import read_shared
from jupyter_pdflow.stores.postgres.store import PostgresStore
from jupyter_pdflow.stores.tinydb.folders import RunFolders


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
    store = PostgresStore(
        settings.database_url,
        folders,
        max_connections=4 + settings.max_kernels,
        limits=settings.limits,
    )
    queue = PgQueuerQueue(settings.database_url, settings.queues, settings.max_kernels)
    return Parts(store, Links(shared.link_keys, address), address, queue)
