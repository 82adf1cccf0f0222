"""Fresh keys and tokens of a new firm; no two firms share one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

__all__ = ["fresh_secrets", "public_half"]

RSA_BITS = 2048
"""What Salesforce asks of the certificate of a connected app, at least."""
EVERY: Mapping[str, Callable[[], str]] = {
    "crm.key.pem": lambda: _pem(RSAKey.generate_key(RSA_BITS)),
    "crm.push": lambda: secrets.token_urlsafe(32),
    "psa.token": lambda: secrets.token_hex(32),
    "hr.password": lambda: secrets.token_urlsafe(24),
    "documents.secret": lambda: secrets.token_urlsafe(32),
    "chat.token": lambda: f"xoxb-{secrets.token_hex(24)}",
    "chat.user": lambda: f"xoxp-{secrets.token_hex(24)}",
    "chat.signing": lambda: secrets.token_hex(16),
}
OF_ERP: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "netsuite": {"erp.key.pem": lambda: _pem(ECKey.generate_key("P-256"))},
    "tryton": {"erp.password": lambda: "written by `concordat twin up` when the server is there"},
}


def fresh_secrets(erp: str) -> dict[str, str]:
    """Make the secrets of a firm with this ERP: file name in `secrets/` to content."""
    return {name: make() + "\n" for name, make in {**EVERY, **OF_ERP[erp]}.items()}


def public_half(pem: str) -> str:
    """Give the public key of a private one in PEM, RSA or EC. Raises `ValueError`."""
    for kind in (ECKey, RSAKey):
        try:
            return kind.import_key(pem).as_pem(private=False).decode()
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("it is neither an RSA nor an EC key in PEM")


def _pem(key: RSAKey | ECKey) -> str:
    return key.as_pem(private=True).decode().rstrip("\n")
