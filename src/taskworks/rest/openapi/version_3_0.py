"""
JSON Schema 2020-12, which OpenAPI 3.1 has, in the words of OpenAPI 3.0.

What 3.0 cannot say is left out, so that the schema accepts more than the original, never less.
"""

from typing import Any

from taskworks.rest.openapi.subschemas import Schema, with_subschemas

NULL = {"type": "null"}
# What applies to a schema as a whole, whatever its type is.
ANNOTATIONS = {"default", "deprecated", "description", "readOnly", "title", "writeOnly"}
WORDS = ANNOTATIONS | {
    "additionalProperties",
    "allOf",
    "anyOf",
    "discriminator",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "uniqueItems",
}
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def in_3_0(schema: Any, _name: str = "") -> Schema:
    """Return a schema in the words of OpenAPI 3.0."""
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    for step in STEPS:
        schema = step(schema)
    known = {key: value for key, value in schema.items() if _is_known(key, value)}
    return _referring(with_subschemas(known, in_3_0))


def _is_known(key: str, value: Any) -> bool:
    is_empty = key in ("enum", "required") and not value  # which 3.0 does not allow
    return key.startswith("x-") or (key in (*WORDS, "$ref") and not is_empty)


def _constant(schema: Schema) -> Schema:
    """Write a constant as the only value of an enum."""
    if "const" not in schema:
        return schema
    value = schema["const"]
    kind = {"type": TYPES[type(value)]} if type(value) in TYPES else {}
    return {**kind, **_without(schema, "const"), "enum": [value]}


def _null(schema: Schema) -> Schema:
    """Write a schema of null alone as an enum, because 3.0 has no such type."""
    if schema.get("type") != "null":
        return schema
    return {**_without(schema, "type"), "enum": [None], "nullable": True}


def _types(schema: Schema) -> Schema:
    """Write several types as alternatives."""
    if not isinstance(schema.get("type"), list):
        return schema
    types = [each for each in schema["type"] if each != "null"]
    nullable = {"nullable": True} if len(types) < len(schema["type"]) else {}
    if len(types) == 1:
        return {**schema, "type": types[0], **nullable}
    annotations = {key: value for key, value in schema.items() if _is_annotation(key)}
    words = _without(schema, "type", *annotations)
    each = [_of_type(kind, words) for kind in types]
    return {"anyOf": each, **nullable, **annotations}


def _of_type(kind: str, words: Schema) -> Schema:
    return {**(words if kind == "array" else _without(words, "items", "prefixItems")), "type": kind}


def _is_annotation(key: str) -> bool:
    return key in ANNOTATIONS or key.startswith("x-")


def _nullable(schema: Schema) -> Schema:
    """Write the alternative null as ``nullable``."""
    key = next((key for key in ("anyOf", "oneOf") if NULL in schema.get(key, ())), None)
    if key is None:
        return schema
    others = [each for each in schema[key] if each != NULL]
    if len(others) > 1:
        return {**schema, key: others, "nullable": True}
    [other] = others or [{}]
    # As drf-spectacular writes it. An enum would need null among its values.
    only = {"allOf": [other]} if {"$ref", "const", "enum"} & other.keys() else other
    return {**only, **_without(schema, key), "nullable": True}


def _bounds(schema: Schema) -> Schema:
    """Write exclusive bounds as such a mark at the bound."""
    return _bound(_bound(schema, "minimum", max), "maximum", min)


def _bound(schema: Schema, name: str, narrowest: Any) -> Schema:
    exclusive_name = f"exclusive{name.capitalize()}"
    if exclusive_name not in schema:
        return schema
    bound = schema[exclusive_name]
    if name in schema and narrowest(schema[name], bound) != bound:
        return _without(schema, exclusive_name)
    return {**schema, name: bound, exclusive_name: True}


def _items(schema: Schema) -> Schema:
    """Write what each item may be, which 3.0 demands, and cannot tell by the item's place."""
    if schema.get("type") != "array":
        return schema
    rest = schema.get("items", {})
    if "prefixItems" not in schema:
        return {**schema, "items": rest}
    kinds = [*schema["prefixItems"], *([rest] if isinstance(rest, dict) and rest else [])]
    return {**schema, "items": _any_of(kinds)}


def _properties(schema: Schema) -> Schema:
    """Write what properties may be, which 3.0 cannot tell by the pattern of their names."""
    if "patternProperties" not in schema:
        return schema
    rest = schema.get("additionalProperties")
    kinds = [*schema["patternProperties"].values(), *([rest] if isinstance(rest, dict) else [])]
    return {**schema, "additionalProperties": _any_of(kinds)}


def _any_of(schemas: list[Any]) -> Schema:
    different = [each for index, each in enumerate(schemas) if each not in schemas[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different} if different else {}


def _example(schema: Schema) -> Schema:
    """Write the first of several examples: 3.0 has one."""
    return {**schema, "example": schema["examples"][0]} if schema.get("examples") else schema


def _referring(schema: Schema) -> Schema:
    """Write a reference with siblings, which 3.0 ignores, so that they count."""
    if "$ref" not in schema or len(schema) == 1:
        return schema
    return {"allOf": [{"$ref": schema["$ref"]}], **_without(schema, "$ref")}


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}


STEPS = (_nullable, _constant, _null, _types, _bounds, _items, _properties, _example)
