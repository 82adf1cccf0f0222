"""The canonical objects: small, frozen, strict at the edge, free of any vendor's words."""

from concordat.core.objects.edge import Fault, Parsed, normalise, parse, validate_many
from concordat.core.objects.form import Canonical, KindName, Part, TargetRef
from concordat.core.objects.registry import (
    OBJECTS,
    FieldFact,
    fields_of,
    json_schema,
    object_type,
    part_fields,
)

__all__ = [
    "OBJECTS",
    "Canonical",
    "Fault",
    "FieldFact",
    "KindName",
    "Parsed",
    "Part",
    "TargetRef",
    "fields_of",
    "json_schema",
    "normalise",
    "object_type",
    "parse",
    "part_fields",
    "validate_many",
]
