import ssl
from pathlib import Path

import pytest

from internal.core.errors import StartError
from internal.infra.tls import client_context


def test_a_context_verifies_certificate_and_name_and_speaks_no_old_versions() -> None:
    context = client_context(None, "DB_TLS_CA")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\x00", "a folder"])
def test_a_file_that_holds_no_authority_is_one_line_with_key_and_path(
    tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "ca.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "a folder":
        path.mkdir()
    with pytest.raises(StartError) as caught:
        client_context(path, "REDIS_TLS_CA")
    said = str(caught.value)
    assert said.startswith(f"REDIS_TLS_CA: {path} cannot be used as a CA file: ")
    assert "\n" not in said
