"""A server on this machine for every test of the data."""

import threading

import pytest
from made_up_tables import Server


@pytest.fixture
def serve():
    servers = []

    def start(respond):
        servers.append(Server(respond))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()
