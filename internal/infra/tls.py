import ssl
from pathlib import Path

from internal.core.errors import StartError


def client_context(ca_file: Path | None, key: str) -> ssl.SSLContext:
    """A TLS context that verifies the server's certificate and name.

    Args:
        ca_file: the authority to trust instead of the system's.
        key: the setting that named the file, for the error.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"{key}: {ca_file} cannot be used as a CA file: {error}") from error
