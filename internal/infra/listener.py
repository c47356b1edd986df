import socket

from internal.core.errors import StartError


def bind(host: str, port: int, settings: str) -> socket.socket:
    """A bound socket that does not listen yet: until somebody serves, nobody can connect.

    Args:
        settings: those that choose the address.

    Raises:
        StartError: the address is taken or not ours.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {host} port {port}: {error.strerror}; "
            f"stop the other process or set {settings}"
        ) from error
    listener.set_inheritable(True)
    return listener
