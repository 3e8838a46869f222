"""Ways to a Redis: TLS, unix sockets, accounts whose password changes."""

import asyncio
import logging

import pytest
import redis
from cryptography import x509

from realtime.exceptions import LayerUnavailable
from realtime.layers.groups import group_name
from realtime.layers.redis import pipeline, refusals
from realtime.rooms.publications import Retention
from realtime.sparse_log import SparseLogs
from tests.support import processes
from tests.support.certificates import LOOPBACK, Authority

KEEP = Retention(10, 60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def start_with_tls(folder, authority, *names, clients="no"):
    """Return the process and its port."""
    certificate, key = authority.certificate(f"redis-{clients}-{len(names)}", *names)
    port, plain = processes.free_port(), processes.free_port()
    options = ["--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key]
    options += ["--tls-ca-cert-file", authority.ca, "--tls-auth-clients", clients]
    return processes.start_redis(folder, plain, *map(str, options)), port


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, authority):
    """The port of a Redis with TLS, whose certificate is for 127.0.0.1."""
    server, port = start_with_tls(tmp_path_factory.mktemp("tls"), authority, LOOPBACK)
    yield port
    server.stop()


@pytest.fixture
def said(monkeypatch, caplog):
    """What is logged in this test, each kind once."""
    for module, name in ((refusals, "_log"), (pipeline, "_unreachable")):
        monkeypatch.setattr(module, name, SparseLogs(logging.getLogger("realtime.layers.redis")))
    caplog.set_level(logging.INFO, "realtime")
    return lambda: [record.getMessage() for record in caplog.records]


async def works(layer):
    """Whether coroutines, threads and the subscription reach Redis."""
    channel = await layer.new_channel()
    await layer.group_add(group_name("lobby"), channel)
    first = await layer.append("lobby", b"1", KEEP)
    second = await asyncio.to_thread(layer.append_sync, "lobby", b"2", KEEP)
    heard = [await asyncio.wait_for(layer.receive(channel), 30) for _ in range(2)]
    return [each["offset"] for each in heard] == [first.offset, second.offset]


async def refused(layer):
    """What both kinds of callers are told."""
    with pytest.raises(LayerUnavailable) as raised:
        await layer.append("lobby", b"1", KEEP)
    with pytest.raises(LayerUnavailable) as in_thread:
        await asyncio.to_thread(layer.append_sync, "lobby", b"1", KEEP)
    return str(raised.value), str(in_thread.value)


async def test_an_encrypted_connection_is_verified(encrypted, authority, open_redis_layer):
    layer = open_redis_layer(
        hosts=[{"address": f"rediss://127.0.0.1:{encrypted}/2", "ssl_ca_certs": authority.ca}]
    )
    assert await works(layer)


async def test_a_certificate_of_nobody_known_is_refused(encrypted, open_redis_layer, said):
    layer = open_redis_layer(hosts=[f"rediss://127.0.0.1:{encrypted}"])
    for told in await refused(layer):
        assert "certificate" in told and "ssl_ca_certs" in told
    assert any("certificate" in line and "ssl_ca_certs" in line for line in said())


async def test_a_certificate_for_another_host_is_refused(
    tmp_path, authority, open_redis_layer, said
):
    server, port = start_with_tls(tmp_path, authority, x509.DNSName("redis.example"), LOOPBACK)
    try:
        layer = open_redis_layer(
            hosts=[{"address": f"rediss://localhost:{port}", "ssl_ca_certs": authority.ca}]
        )
        for told in await refused(layer):
            assert "certificate" in told
    finally:
        server.stop()


async def test_a_site_may_do_without_verification(encrypted, open_redis_layer):
    address = f"rediss://localhost:{encrypted}"
    assert await works(open_redis_layer(hosts=[{"address": address, "ssl_cert_reqs": "none"}]))
    assert await works(open_redis_layer(hosts=[f"{address}?ssl_cert_reqs=none"]))


async def test_a_redis_may_ask_for_a_certificate(tmp_path, authority, open_redis_layer):
    server, port = start_with_tls(tmp_path, authority, LOOPBACK, clients="yes")
    certificate, key = authority.certificate("client")
    host = {"address": f"rediss://127.0.0.1:{port}", "ssl_ca_certs": authority.ca}
    try:
        for told in await refused(open_redis_layer(hosts=[host])):
            assert "ssl_certfile" in told or "does not answer" in told
        own = {"ssl_certfile": certificate, "ssl_keyfile": key}
        assert await works(open_redis_layer(hosts=[{**host, **own}]))
    finally:
        server.stop()


async def test_a_unix_socket(tmp_path_factory, open_redis_layer):
    folder = tmp_path_factory.mktemp("u")
    path = folder / "redis.sock"
    server = processes.start_redis(folder, processes.free_port(), "--unixsocket", str(path))
    try:
        assert await works(open_redis_layer(hosts=[f"unix://{path}?db=3"]))
    finally:
        server.stop()


class Accounts:
    """A credential provider of redis-py, as sites have that fetch passwords from elsewhere."""

    def __init__(self):
        self.password = "first"

    def get_credentials(self):
        return "rotating", self.password

    async def get_credentials_async(self):
        return self.get_credentials()


async def test_a_password_may_change(tmp_path, open_redis_layer, said):
    """Open connections stay; new ones use the password that is valid then."""
    port = processes.free_port()
    server = processes.start_redis(tmp_path, port)
    accounts = Accounts()
    with redis.Redis(port=port) as admin:
        rights = ("~*", "&*", "+@all")
        admin.execute_command("ACL", "SETUSER", "rotating", "on", ">first", *rights)
        layer = open_redis_layer(
            hosts=[{"host": "127.0.0.1", "port": port, "credential_provider": accounts}]
        )
        assert await works(layer)
        admin.execute_command("ACL", "SETUSER", "rotating", "resetpass", ">second")
        assert await works(layer), "what is connected stays"
        admin.client_kill_filter(_type="normal", skipme=True)
        async with asyncio.timeout(60):
            while not any("WRONGPASS" in line for line in said()):
                with pytest.raises(LayerUnavailable):
                    await layer.append("lobby", b"1", KEEP)
        accounts.password = "second"
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await works(layer)
                    break
                except LayerUnavailable:
                    await asyncio.sleep(0.05)
    server.stop()
    assert not any(word in line for line in said() for word in ("first", "second"))
