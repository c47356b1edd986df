"""What comes with the first token, and what does not."""

import subprocess
import sys

PROGRAM = """
import sys
from datetime import UTC, datetime, timedelta
from internal.core.caller import Role
from internal.core.tokens import AccessClaims, TokenSigner

now = datetime.now(UTC)
signer = TokenSigner(
    ["x" * 64], algorithm="HS256", issuer="us", audience="us", lifetime=timedelta(minutes=1)
)
print("jwt" in sys.modules)
token = signer.issue(AccessClaims(1, 2, 3, Role.USER), now)
print(signer.verify(token).session_id)
print("jwt" in sys.modules, "cryptography.hazmat.bindings._rust" in sys.modules)

import cryptography.x509, cryptography.hazmat.primitives.asymmetric.ec
"""


def test_tokens_load_no_library_for_key_pairs_and_hide_it_from_nobody_else() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", "2", "True False"]
