"""Whether a value fits a JSON schema of ours."""


def complaints(value, rule, root, place="$"):
    """What in a value does not fit a JSON schema; knows the words that ours uses and no other."""
    known = {"$schema", "title", "description", "type", "required", "properties", "additionalProperties", "items"}
    assert rule.keys() <= known | {"const", "enum", "anyOf", "$ref", "$defs"}, rule.keys()
    if "$ref" in rule:
        rule = root["$defs"][rule["$ref"].removeprefix("#/$defs/")]
    if "const" in rule and value != rule["const"]:
        yield f"{place}: {value!r} is not {rule['const']!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{place}: {value!r} is not one of {rule['enum']}"
    if "anyOf" in rule and all(any(complaints(value, each, root, place)) for each in rule["anyOf"]):
        yield f"{place}: fits none"
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    wanted = rule.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and not any(isinstance(value, types[name]) and not isinstance(value, bool) for name in wanted):
        yield f"{place}: {value!r} is no {wanted}"
        return
    if isinstance(value, dict):
        yield from (f"{place}: no {name}" for name in rule.get("required", []) if name not in value)
        for name, inner in value.items():
            more = rule.get("properties", {}).get(name, rule.get("additionalProperties", True))
            if more is False:
                yield f"{place}: {name} is not in the schema"
            elif isinstance(more, dict):
                yield from complaints(inner, more, root, f"{place}.{name}")
    if isinstance(value, list) and "items" in rule:
        for number, inner in enumerate(value):
            yield from complaints(inner, rule["items"], root, f"{place}[{number}]")
