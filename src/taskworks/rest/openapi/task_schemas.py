"""The components of the offered tasks: their bodies, inputs, outputs, and the models in these."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from taskworks.parameters.fields import json_schemas
from taskworks.rest.openapi.names import Names, component_name, in_pascal_case, reference
from taskworks.rest.openapi.subschemas import Schema, with_subschemas

BODY, INPUTS, OUTPUTS = map(component_name, ("Start{}", "{}Inputs", "{}Outputs"))


class TaskComponents(NamedTuple):
    """Schemas by the names of their components, and the component of each task's body."""

    schemas: dict[str, Schema]
    bodies: dict[str, str]


def components_of(
    tasks: Mapping[str, Any], taken: Iterable[str], translate: Callable[[Schema], Schema]
) -> TaskComponents:
    """
    Return the components of these tasks, none of which has a name that is taken. ``translate``
    writes a schema in the words of the document's version.
    """
    names = Names(taken)
    titles = {
        task: names.take(in_pascal_case(task) or "Task", BODY, INPUTS, OUTPUTS) for task in tasks
    }
    bodies = {task: BODY.format(title) for task, title in titles.items()}
    schemas = {body: _body(task, titles[task], tasks[task]) for task, body in bodies.items()}
    schemas |= _values(tasks, titles, names)
    return TaskComponents(_apart(schemas, names, translate), bodies)


def _body(name: str, title: str, task: Any) -> Schema:
    return {
        "type": "object",
        "properties": {
            "task": {"type": "string", "const": name},
            "inputs": reference(INPUTS.format(title)),
        },
        "required": ["task", "inputs"],
        "additionalProperties": False,
        "description": task.typed.description,
    }


def _values(tasks: Mapping[str, Any], titles: Mapping[str, str], names: Names) -> dict[str, Schema]:
    """Return the schemas of inputs and outputs, and of the models that they share."""
    fields = {INPUTS.format(title): tasks[task].inputs for task, title in titles.items()}
    fields |= {OUTPUTS.format(title): tasks[task].outputs for task, title in titles.items()}
    objects, models = json_schemas(fields, ref_template=reference("{model}")["$ref"])
    components = _components_of_models(models, names)
    references = {
        reference(model)["$ref"]: reference(name)["$ref"] for model, name in components.items()
    }
    schemas = {**objects, **{name: models[model] for model, name in components.items()}}
    return {name: _referring(schema, references) for name, schema in schemas.items()}


def _components_of_models(models: Mapping[str, Schema], names: Names) -> dict[str, str]:
    """Return the name of each model's component; models whose schemas are alike have one."""
    alike: dict[Any, list[str]] = {}
    for model, kind in _kinds_of(models).items():
        alike.setdefault(kind, []).append(model)
    components: dict[str, str] = {}
    for group in alike.values():
        components |= dict.fromkeys(group, _named(group, names))
    return components


def _named(alike: list[str], names: Names) -> str:
    """Return a name for what pydantic calls so, such as Order-Input and Order-Output."""
    if len(alike) > 1:
        alike = [re.sub("-(Input|Output)$", "", model) for model in alike]
    title = in_pascal_case(max(alike, key=len)) or "Model"
    return component_name(names.take(title, component_name("{}")))


def _kinds_of(models: Mapping[str, Schema]) -> dict[str, int]:
    """
    Return a number for each model, the same for those whose schemas are alike: they say the same,
    and what they refer to is alike as well, which may be they themselves.
    """
    kinds = dict.fromkeys(sorted(models), 0)
    while True:
        texts = {model: _text(models[model], kinds) for model in kinds}
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts.values()))}
        finer = {model: numbers[text] for model, text in texts.items()}
        if len({*finer.values()}) == len({*kinds.values()}):
            return finer
        kinds = finer


def _text(schema: Schema, kinds: Mapping[str, int]) -> str:
    """Return what a schema says, with the kinds of the models that it refers to."""
    numbers = {reference(model)["$ref"]: str(kind) for model, kind in kinds.items()}
    return json.dumps(_referring(schema, numbers), sort_keys=True, default=str)


def _referring(schema: Any, references: Mapping[str, str]) -> Any:
    """Return the schema with other references."""
    if not isinstance(schema, dict):
        return schema
    changed = with_subschemas(schema, lambda inner, _: _referring(inner, references))
    if "$ref" in schema:
        changed["$ref"] = references.get(schema["$ref"], schema["$ref"])
    if "mapping" in schema.get("discriminator", {}):
        mapping = schema["discriminator"]["mapping"]
        changed["discriminator"] = {
            **schema["discriminator"],
            "mapping": {value: references.get(given, given) for value, given in mapping.items()},
        }
    return changed


def _apart(
    schemas: Mapping[str, Schema], names: Names, translate: Callable[[Schema], Schema]
) -> dict[str, Schema]:
    """Return the schemas, and those of the enums inside them."""
    enums = _Enums(names)
    outer = {
        name: enums.moved_out_of(name, translate(_for_generators(schema)))
        for name, schema in schemas.items()
    }
    return {**outer, **enums.schemas}


def _for_generators(schema: Any, _name: str = "") -> Any:
    """Return the schema with what client generators need: items of arrays, enums without null."""
    if not isinstance(schema, dict):
        return schema
    schema = with_subschemas(schema, _for_generators)
    if "array" in schema.get("type", ()) and not {"items", "prefixItems"} & schema.keys():
        schema["items"] = {}
    if None in schema.get("enum", ()) and schema["enum"] != [None]:
        return _with_null_apart(schema)
    return schema


def _with_null_apart(schema: Schema) -> Schema:
    values = {key: schema[key] for key in ("x-labels",) if key in schema}
    values["enum"] = [value for value in schema["enum"] if value is not None]
    if isinstance(types := schema.get("type"), list):
        others = [each for each in types if each != "null"]
        values["type"] = others if len(others) > 1 else others[0]
    return {"anyOf": [values, {"type": "null"}], **_without(schema, "enum", "type", "x-labels")}


class _Enums:
    """
    Moves enums to components of their own: if they are inside another, drf-spectacular does that,
    and gives an enum of the project another name if its property is called the same.
    """

    WORDS = ("enum", "nullable", "type", "x-labels")

    def __init__(self, names: Names) -> None:
        self.schemas: dict[str, Schema] = {}
        self._names = names

    def moved_out_of(self, place: str, schema: Schema) -> Schema:
        """Return the schema of a component, untitled: it has a name."""
        return _without(self._inside(schema, place), "title")

    def _inside(self, schema: Schema, place: str) -> Schema:
        return with_subschemas(
            schema, lambda inner, name: self._moved(inner, f"{place}{in_pascal_case(name)}")
        )

    def _moved(self, schema: Any, place: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        if "enum" in schema:
            return self._reference_to(schema, place)
        # Generators name the class of an object by its title, which is not unique, or its place.
        is_scalar = isinstance(schema.get("type"), str) and schema["type"] != "object"
        return self._inside(schema if is_scalar else _without(schema, "title"), place)

    def _reference_to(self, schema: Schema, place: str) -> Schema:
        name = self._names.take(place, "{}")
        self.schemas[name] = {key: value for key, value in schema.items() if key in self.WORDS}
        others = _without(schema, *self.WORDS)
        return {"allOf": [reference(name)], **others} if others else reference(name)


def _without(schema: Schema, *keys: str) -> Schema:
    return {key: value for key, value in schema.items() if key not in keys}
