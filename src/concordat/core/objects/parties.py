"""Whom the firm works for: clients and their contacts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from concordat.core.objects.form import (
    Canonical,
    CivilDate,
    Country,
    Currency,
    Entity,
    Flag,
    Instant,
    Money,
    Part,
    Reference,
    Text,
    To,
    Words,
    said,
    several,
)

__all__ = ["Client", "Contact", "EntityTerms", "TaxId"]


class TaxId(Part):
    """One tax registration of a client."""

    country: Country = Field(description="Country that issued the number")
    number: Words = Field(description="The registration number as printed on invoices")
    validated_on: CivilDate | None = said("Day the number was last checked")
    validated_by: Text | None = said("Register that confirmed it: VIES, HMRC, …")


class EntityTerms(Part):
    """How one of our companies deals with this client; a client is opened per company."""

    entity: Entity = Field(description="The company in which the client is opened")
    payment_terms: Text | None = said("Terms with this company, as text: NET30")
    number: Text | None = said("The client's number in this company's books")


class Client(Canonical):
    """An organisation that buys services. Sold-to, bill-to and payer may be three parties."""

    object_name = "client"

    name: Words = Field(description="The client's name as people write it")
    number: Text | None = said("The number people know the client by")
    country: Country | None = said("Country of the seat, ISO 3166 two letters")
    currency: Currency | None = said("Currency the client is billed in unless a contract says otherwise")
    currencies: tuple[Currency, ...] = several("All currencies the client may be billed in")
    tax_id: Text | None = said("Main tax number, of the country of the seat")
    tax_ids: tuple[TaxId, ...] = several("Tax numbers per country, with their last validation")
    tax_status: Literal["registered", "exempt", "not_registered", "public_body"] | None = said(
        "Whether and how the client is registered for tax"
    )
    payment_terms: Text | None = said("Payment terms as text: NET30")
    phone: Text | None = said("Main telephone number")
    billing_email: Text | None = said("Where invoices are mailed to")
    parent: Annotated[Reference, To("client")] | None = said("The group's parent, for group terms")
    bill_to: Annotated[Reference, To("client")] | None = said("Who receives the invoice when it is another party")
    pay_by: Annotated[Reference, To("client")] | None = said("Who pays when it is another party")
    billing_contacts: tuple[Annotated[Reference, To("contact")], ...] = several("People to ask about invoices")
    e_invoice_address: Text | None = said("Peppol id or portal address")
    e_invoice_format: Text | None = said("Format the e-invoice must have")
    po_required: Flag | None = said("No invoice without the client's order number")
    credit_limit: Money | None = said("Most that may be open at once")
    credit_hold: Flag | None = said("Credit control has stopped new work or invoices")
    dunning: Literal["none", "reminded", "final_notice", "collection", "stopped"] | None = said(
        "How far reminders have gone"
    )
    entities: tuple[EntityTerms, ...] = several("Companies of ours in which the client is opened")
    merged_into: Annotated[Reference, To("client")] | None = said("The survivor when this record was merged away")


class Contact(Canonical):
    """A person at a client."""

    object_name = "contact"

    name: Words = Field(description="The person's full name")
    client: Annotated[Reference, To("client")] | None = said("The client the person works for")
    email: Text | None = said("Mail address")
    phone: Text | None = said("Telephone number")
    title: Text | None = said("Position at the client")
    purpose: Literal["billing", "delivery", "buying", "other"] | None = said("What the person is asked about")
    language: Text | None = said("Language to write in, BCP 47: en-GB")
    left_at: Instant | None = said("When the person was reported gone")
