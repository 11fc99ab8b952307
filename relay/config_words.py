"""What is wrong in a configuration file, in the words of who writes one: the place, what was expected, what is known there.

Made from msgspec's own message and the types of the file. Called by every loader of a configuration; reads nothing itself.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import inspect

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `(?P<place>[^`]*)`)?")
_NO_CHOICE = re.compile(r"Invalid (?:enum )?value (?P<found>'.*') - at `(?P<place>[^`]*)`", re.DOTALL)
_KINDS = {
    "object": "a table", "array": "a list", "str": "text in quotes", "int": "a whole number", "float": "a number",
    "bool": "true or false",
}  # fmt: skip
_TYPES = re.compile(rf"`((?:{'|'.join(_KINDS)})(?: \| \w+)*)`")


def explain(message: str, config: type[msgspec.Struct]) -> str:
    """Msgspec's message about a file of this type; an unknown key or choice comes with those that are known at its place."""
    if unknown := _UNKNOWN.fullmatch(message):
        place = _steps(unknown["place"] or "$")
        found = list(_structs(_at(inspect.type_info(config), place)))
        known = "; ".join(_fields(struct, is_one_of_several=len(found) > 1) for struct in found)
        where = f"[{'.'.join(place)}]" if place else "the top level"
        return f"unknown key {unknown['key']!r} in {where}; known keys: {known}"
    if choice := _NO_CHOICE.fullmatch(message):
        known = ", ".join(sorted(_choices(inspect.type_info(config), _steps(choice["place"]))))
        return f"unknown {choice['found']} at {choice['place'].removeprefix('$.')}; known are {known}"
    message = _TYPES.sub(
        lambda found: " or ".join(_KINDS[one] for one in found[1].split(" | ") if one in _KINDS), message
    )
    return message.replace("`$.", "`").replace("Object", "the table")


def _steps(place: str) -> list[str]:
    """The names on the way, without the positions in lists."""
    return re.findall(r"\.([^.\[\]]+)", re.sub(r"\[[^\]]*\]", "", place))


def _at(kind: inspect.Type, steps: list[str]) -> inspect.Type:
    """The type at the end of the way; of several that have a field of that name, the first one."""
    for step in steps:
        fields = (field for struct in _structs(kind) for field in struct.fields)
        kind = next((field.type for field in fields if field.encode_name == step), inspect.AnyType())
    return kind


def _structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """The tables that may stand here, also within a list."""
    match kind:
        case inspect.StructType():
            yield kind
        case inspect.UnionType(types=types):
            for one in types:
                yield from _structs(one)
        case inspect.Metadata(type=inner):
            yield from _structs(inner)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            yield from _structs(item)


def _fields(struct: inspect.StructType, *, is_one_of_several: bool) -> str:
    names = [field.encode_name for field in struct.fields]
    if struct.tag is None:
        return ", ".join(names)
    listed = ", ".join([struct.tag_field or "", *names])
    return f"{struct.tag}: {listed}" if is_one_of_several else listed


def _choices(config: inspect.Type, steps: list[str]) -> Iterator[str]:
    """What may be written there: the tags of the tables that it tells apart, or the values of a closed choice."""
    *before, last = steps
    tags = [struct.tag for struct in _structs(_at(config, before)) if struct.tag_field == last]
    if tags:
        yield from (str(tag) for tag in tags)
    else:
        yield from _values(_at(config, steps))


def _values(kind: inspect.Type) -> Iterator[str]:
    match kind:
        case inspect.LiteralType(values=values):
            yield from (str(value) for value in values)
        case inspect.EnumType(cls=cls):
            yield from (str(one.value) for one in cls)
        case inspect.UnionType(types=types):
            for one in types:
                yield from _values(one)
        case inspect.Metadata(type=inner):
            yield from _values(inner)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            yield from _values(item)
