"""What is declared about Microsoft Graph: the connection's settings, and what a workspace is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, model_validator

from concordat.sdk.serving import Settings
from concordat.sdk.spec import ObjectFacts, PromiseClass, SystemFacts

__all__ = ["BATCH", "FACTS", "GraphSettings"]

BATCH = 20
"""Requests in one $batch (src: learn.microsoft.com/graph/json-batching)."""


class GraphSettings(Settings):
    """A connection to one document library of Microsoft 365."""

    tenant: str = Field(description="Directory (tenant) id, or its domain")
    client_id: str = Field(description="Application (client) id of the app registration")
    client_secret: SecretStr = Field(description="Its client secret")
    site: str = Field(
        default="",
        description="Site whose default library is used, as host:/path: contoso.sharepoint.com:/sites/projects",
    )
    drive: str = Field(default="", description="Id of the library, when it is not the site's default one")
    folder: str = Field(
        default="Workspaces", description="Folder in the library that holds the workspaces; it must exist"
    )
    archive: str = Field(
        default="Archive", description="Folder inside it that archived workspaces move to; made when needed"
    )
    lock_column: str = Field(
        default="ConcordatLock",
        description="Text column of the library (several lines) that remembers what a lock took; empty: no locks",
    )
    url: str = Field(default="https://graph.microsoft.com", description="Where Graph answers")
    login: str = Field(default="https://login.microsoftonline.com", description="Where Entra answers")

    @model_validator(mode="after")
    def _names_a_library(self) -> Self:
        if not (self.site or self.drive):
            raise ValueError("name a `site`, or a `drive`")
        return self


FACTS = SystemFacts(
    system="msgraph",
    title="Microsoft Graph",
    targets={
        "workspace": ObjectFacts(
            object="workspace",
            vendor_object="driveItem (folder)",
            promise=PromiseClass.B,
            find="strong",
            settle_window=timedelta(minutes=4),
            write_batch=BATCH,
            read_batch=BATCH,
            parallel=4,
            fields=frozenset({"name", "client_name", "project_name", "locked"}),
            operations=frozenset({"put", "lock", "archive", "reactivate"}),
            note=(
                "The record key ends the folder's name; conflictBehavior=fail refuses a second one of the same name,"
                " but a changed name is another path, so this is class B. A listing is exact, search is not."
            ),
        )
    },
)
