"""Sockets that only this machine and its own containers can reach."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from typing import Final, NamedTuple

import docker

from covalent_lambda_container.errors import LocalStackError

_LOOPBACK: Final = "127.0.0.1"
_PORT_ATTEMPTS: Final = 20


class Bridge(NamedTuple):
    """Docker's default network, seen from the host."""

    address: str
    interface: str


def listen_here_only(client: docker.DockerClient, port: int = 0) -> list[socket.socket]:
    """Bind a port, by default a free one, to the loopback address and to Docker's bridge.

    Containers reach the host through the bridge's address (``host.docker.internal``). Docker
    Desktop has its bridge inside a virtual machine and maps that name to the loopback address
    instead: there, and with a rootless engine, the list has only one socket.

    Raises
    ------
    LocalStackError
        The requested port is in use.

    Returns
    -------
    list of socket.socket
        Bound sockets that do not listen yet, so that no other process can use the port before the
        server does. The caller closes them.
    """
    bridge = _default_bridge(client)
    for _ in range(_PORT_ATTEMPTS):
        loopback = socket.socket()
        try:
            if port:
                # A connection of the last stack may still be in TIME_WAIT.
                loopback.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            loopback.bind((_LOOPBACK, port))
        except OSError as exc:
            loopback.close()
            raise _taken(port, exc) from exc
        if bridge is None:
            return [loopback]
        try:
            return [loopback, _bind_to_bridge(bridge, loopback.getsockname()[1], again=bool(port))]
        except OSError as exc:
            if exc.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
                return [loopback]
            loopback.close()
            if exc.errno != errno.EADDRINUSE:
                raise
            if port:
                raise _taken(port, exc) from exc
    raise OSError(errno.EADDRINUSE, f"no port is free on both {_LOOPBACK} and {bridge}")


def _taken(port: int, reason: OSError) -> LocalStackError:
    return LocalStackError(
        f"Port {port} cannot be used: {reason}.",
        hint="Use another --port, or omit it for a free one.",
    )


def _bind_to_bridge(bridge: Bridge, port: int, *, again: bool) -> socket.socket:
    sock = socket.socket()
    try:
        if again:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_BINDTODEVICE"):
            # A host answers on any of its addresses through any interface, so a neighbour with a
            # route to the bridge's address would get through. Before Linux 5.7, not all users may
            # set this.
            with contextlib.suppress(PermissionError):
                name = bridge.interface.encode()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
        sock.bind((bridge.address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _default_bridge(client: docker.DockerClient) -> Bridge | None:
    networks = client.networks.list(names=["bridge"], filters={"driver": "bridge"})
    for attributes in (network.attrs for network in networks):
        options = attributes.get("Options") or {}
        if "com.docker.network.bridge.default_bridge" not in options:
            continue
        interface = options.get("com.docker.network.bridge.name", "docker0")
        for config in attributes["IPAM"].get("Config") or ():
            subnet = ipaddress.ip_network(config["Subnet"])
            if subnet.version == 4:
                # Missing from a fresh engine's answer, which then uses the first address.
                address = config.get("Gateway") or str(next(subnet.hosts()))
                return Bridge(address, interface)
    return None
