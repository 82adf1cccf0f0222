"""The text of Northbeam's `concordat.toml`."""

from __future__ import annotations

from collections.abc import Mapping

from concordat.errors import UserError

__all__ = ["ERPS", "PORTS", "settings_text"]

PORTS: Mapping[str, int] = {
    "web": 8484,
    "crm": 8501,
    "psa": 8502,
    "hr": 8503,
    "erp": 8504,
    "documents": 8505,
    "chat": 8506,
}
"""Loopback ports of the console and of each connection's twin."""

HEAD = """\
# Northbeam Consulting. Every secret is a file in secrets/, or an environment variable: {{ env = "NAME" }}.
[firm]
name = "Northbeam Consulting"
unit = "NB"

[entities.NB-US]
currency = "USD"
zone = "America/Los_Angeles"
country = "US"
subdivision = "CA"

[entities.NB-UK]
currency = "GBP"
zone = "Europe/London"
country = "GB"
subdivision = "ENG"

[entities.NB-DE]
currency = "EUR"
zone = "Europe/Berlin"
country = "DE"
subdivision = "BE"

# Who owns fields and cases. `calendar` is the entity whose office hours and holidays count for their deadlines.
[teams]
sales-operations = {{ title = "Sales operations", calendar = "NB-US", email = "sales-operations@northbeam.example" }}
crm = {{ title = "CRM administration", calendar = "NB-US", email = "crm@northbeam.example" }}
finance = {{ title = "Finance", calendar = "NB-UK", email = "finance@northbeam.example" }}
billing = {{ title = "Billing", calendar = "NB-UK", email = "billing@northbeam.example" }}
delivery = {{ title = "Delivery", calendar = "NB-DE", email = "delivery@northbeam.example" }}
resourcing = {{ title = "Resourcing", calendar = "NB-DE", email = "resourcing@northbeam.example" }}
integration = {{ title = "Integration", calendar = "NB-DE", email = "integration@northbeam.example" }}

[web]
port = {web}

# The systems. `reads`: objects whose records are taken from there as the source, asked for every `poll`. The ERP's
# clients are read because it owns their payment terms: what a contract's `owns` says is enforced where it is read.
# `settle`: a twin has written nothing when a lost call has not shown after so long. Remove it for a real account.
"""

CONNECTIONS: Mapping[str, str] = {
    "crm": """\
[connections.crm]
system = "salesforce"
url = "http://127.0.0.1:{crm}"
token_url = "http://127.0.0.1:{crm}"
reads = ["client", "contract", "opportunity"]
poll = "5 s"
consumer_key = "northbeam-concordat"
username = "integration@northbeam.example"
private_key = {{ file = "secrets/crm.key.pem" }}
push_secret = {{ file = "secrets/crm.push" }}
""",
    "psa": """\
[connections.psa]
system = "kantata"
url = "http://127.0.0.1:{psa}"
pages = "http://127.0.0.1:{psa}"
token = {{ file = "secrets/psa.token" }}
settle = "15 s"
""",
    "hr": """\
[connections.hr]
system = "workday"
url = "http://127.0.0.1:{hr}"
tenant = "northbeam"
owner = "ISU_Concordat"
user = "ISU_Concordat"
password = {{ file = "secrets/hr.password" }}
""",
    "netsuite": """\
[connections.erp]
system = "netsuite"
url = "http://127.0.0.1:{erp}"
reads = ["client"]
account = "1234567"
client_id = "northbeam-concordat"
certificate_id = "northbeam-1"
private_key = {{ file = "secrets/erp.key.pem" }}
algorithm = "ES256"
subsidiaries = {{ NB-US = "1", NB-UK = "2", NB-DE = "3" }}
subsidiary = "NB-US"
currencies = {{ USD = "1", GBP = "2", EUR = "4" }}
terms = {{ NET14 = "5", NET15 = "1", NET30 = "2", NET45 = "6", NET60 = "3" }}
""",
    "tryton": """\
[connections.erp]
system = "tryton"
url = "http://127.0.0.1:{erp}"
reads = ["client"]
database = "erp"
user = "concordat"
password = {{ file = "secrets/erp.password" }}
""",
    "documents": """\
[connections.documents]
system = "msgraph"
url = "http://127.0.0.1:{documents}"
login = "http://127.0.0.1:{documents}"
tenant = "northbeam"
site = "northbeam.sharepoint.com:/sites/projects"
client_id = "northbeam-concordat"
client_secret = {{ file = "secrets/documents.secret" }}
settle = "15 s"
""",
    "chat": """\
[connections.chat]
system = "slack"
url = "http://127.0.0.1:{chat}/api"
token = {{ file = "secrets/chat.token" }}
user_token = {{ file = "secrets/chat.user" }}
signing_secret = {{ file = "secrets/chat.signing" }}
settle = "15 s"
""",
}
ERPS = ("netsuite", "tryton")


def settings_text(*, erp: str, ports: Mapping[str, int]) -> str:
    """Write `concordat.toml` for these ports and this ERP. An unknown ERP is a `UserError`."""
    if erp not in ERPS:
        raise UserError(f"There is no ERP {erp} to start with.", remedy=f"Choose {' or '.join(ERPS)}.", exit_code=2)
    parts = [HEAD, *(CONNECTIONS[name] for name in ("crm", "psa", "hr", erp, "documents", "chat"))]
    return "\n".join(part.format(**ports) for part in parts)
