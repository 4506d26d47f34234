#!/usr/bin/env python3
"""Writes src/onnx/schema.inc: what each version of each standard operator takes, from the schemas of the `onnx` package.

    python3 scripts/onnx_schema.py >src/onnx/schema.inc     with the version of onnx named in tests/oracle/requirements.txt

Only versions that are in force in some operator set from 13 on are listed, since older sets are never written.
"""
import onnx
from onnx import defs

OLDEST = 13
KINDS = ("INT", "FLOAT", "STRING", "TENSOR", "GRAPH", "INTS", "FLOATS", "STRINGS")
# Optional attributes whose default the schema tells in words: one for each axis, or nothing.
IN_WORDS = {"dilations": "*1", "strides": "*1", "pads": "*0", "output_padding": "*0"}


def types(text, schema):
    """A bit for each element type of tensors; bit 31 for anything else."""
    allowed = [text]
    for constraint in schema.type_constraints:
        if constraint.type_param_str == text:
            allowed = constraint.allowed_type_strs
    mask = 0
    for name in allowed:
        inner = name[len("tensor("):-1] if name.startswith("tensor(") else None
        number = getattr(onnx.TensorProto, {"float": "FLOAT", "double": "DOUBLE"}.get(inner, inner.upper()), None) if inner else None
        mask |= 1 << number if number is not None and number < 31 else 1 << 31
    return "0x%x" % mask


def default(attribute):
    value = attribute.default_value
    if attribute.required:
        return '"!"'
    if value.type == onnx.AttributeProto.INT:
        return '"%d"' % value.i
    if value.type == onnx.AttributeProto.FLOAT:
        return '"%.9g"' % value.f
    if value.type == onnx.AttributeProto.STRING:
        return '"%s"' % value.s.decode()
    if attribute.name in IN_WORDS:
        return '"%s"' % IN_WORDS[attribute.name]
    return "NULL"


def listed(what, items):
    return "%s(%s)" % (what, ", ".join(items)) if items else ""


def row(schema):
    def count(n):
        return -1 if n > 1000 else n

    attributes = ['{"%s", %s, %s}' % (name, "SKV_ATTR_" + a.type.name if a.type.name in KINDS else "SKV_SCHEMA_OTHER", default(a))
                  for name, a in sorted(schema.attributes.items())]
    inputs = [types(i.type_str, schema) for i in schema.inputs]
    outputs = [types(o.type_str, schema) for o in schema.outputs]
    lists = " ".join(filter(None, [listed("IN", inputs), listed("OUT", outputs), listed("ATTRS", attributes)]))
    return 'OP("%s", %d, %d, %d, %d, %d, %d, %s)' % (schema.name, schema.since_version, schema.deprecated, schema.min_input,
                                                     count(schema.max_input), schema.min_output, count(schema.max_output), lists)


versions = {}
for schema in defs.get_all_schemas_with_history():
    if schema.domain == "":
        versions.setdefault(schema.name, []).append(schema)
print("/* Made by scripts/onnx_schema.py from the schemas of onnx %s; not to be edited.\n"
      " * OP(name, since, deprecated, inputs at least, at most (-1: any number), outputs at least, at most,\n"
      " *    element types of the inputs, of the outputs (a bit for each ONNX number; the last of each holds for what follows),\n"
      " *    attributes {name, kind, default; '!': required}); by name, then by version. */" % onnx.__version__)
for name in sorted(versions):
    rows = sorted(versions[name], key=lambda s: s.since_version)
    for this, following in zip(rows, rows[1:] + [None]):
        if following is None or following.since_version > OLDEST:
            print(row(this))
