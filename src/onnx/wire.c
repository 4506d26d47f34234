/* The checker of the wire format: looks at the wire format of an ONNX file before anything is decoded.
 *
 * protobuf-c recurses without a limit, keeps unknown fields and copies every byte string, so it must never see an
 * unchecked file. It follows the ONNX schema with its own stack, checks every length against the enclosing
 * message, limits depth and counts, refuses groups and wrong wire types, and writes a copy with only the fields skive
 * reads. Weights are not copied: their field becomes a reference (skv_onnx_ref) into the original. Lengths in the copy
 * are varints padded to five bytes, so that they can be filled in when a message ends. */
#include <string.h>

#include "onnx/onnx.h"

typedef enum kind {
    DROP,     /* not read: left out of the copy */
    INT,      /* varint */
    INTS,     /* varints, packed or not */
    FLOAT,    /* 32 bits */
    FLOATS,   /* 32 bits, packed or not */
    TEXT,     /* string without NUL */
    BYTES,    /* any bytes */
    MANY,     /* repeated message */
    ONE,      /* message, at most once */
    DATA,     /* bytes that become a reference */
    DATA_F32, /* the same when packed, otherwise copied */
    DATA_F64,
    REFUSE, /* has a meaning that must not be ignored */
} kind;

typedef enum message_id {
    MODEL,
    OPSET,
    ENTRY,
    GRAPH,
    NODE,
    ATTRIBUTE,
    TENSOR,
    SPARSE,
    VALUE,
    TYPE,
    TYPE_TENSOR,
    TYPE_SEQUENCE,
    TYPE_MAP,
    SHAPE,
    DIMENSION,
    FUNCTION,
    MESSAGES
} message_id;

typedef struct field {
    const char *name;
    kind kind;
    message_id child;
} field;

#define MAX_FIELD 32
typedef struct message {
    const char *name;
    field fields[MAX_FIELD]; /* by field number */
} message;

static const message schema[MESSAGES] = {
    [MODEL] = {"ModelProto",
               {[1] = {"ir_version", INT, 0},
                [2] = {"producer_name", TEXT, 0},
                [3] = {"producer_version", TEXT, 0},
                [7] = {"graph", ONE, GRAPH},
                [8] = {"opset_import", MANY, OPSET},
                [14] = {"metadata_props", MANY, ENTRY},
                [25] = {"functions", MANY, FUNCTION}}},
    [OPSET] = {"OperatorSetIdProto", {[1] = {"domain", TEXT, 0}, [2] = {"version", INT, 0}}},
    [ENTRY] = {"StringStringEntryProto", {[1] = {"key", TEXT, 0}, [2] = {"value", TEXT, 0}}},
    [GRAPH] = {"GraphProto",
               {[1] = {"node", MANY, NODE},
                [2] = {"name", TEXT, 0},
                [5] = {"initializer", MANY, TENSOR},
                [11] = {"input", MANY, VALUE},
                [12] = {"output", MANY, VALUE},
                [13] = {"value_info", MANY, VALUE},
                [15] = {"sparse_initializer", MANY, SPARSE}}},
    [NODE] = {"NodeProto",
              {[1] = {"input", TEXT, 0},
               [2] = {"output", TEXT, 0},
               [3] = {"name", TEXT, 0},
               [4] = {"op_type", TEXT, 0},
               [5] = {"attribute", MANY, ATTRIBUTE},
               [7] = {"domain", TEXT, 0},
               [8] = {"overload", REFUSE, 0}}},
    [ATTRIBUTE] = {"AttributeProto",
                   {[1] = {"name", TEXT, 0},
                    [2] = {"f", FLOAT, 0},
                    [3] = {"i", INT, 0},
                    [4] = {"s", BYTES, 0},
                    [5] = {"t", ONE, TENSOR},
                    [6] = {"g", ONE, GRAPH},
                    [7] = {"floats", FLOATS, 0},
                    [8] = {"ints", INTS, 0},
                    [9] = {"strings", BYTES, 0},
                    [10] = {"tensors", MANY, TENSOR},
                    [11] = {"graphs", MANY, GRAPH},
                    [14] = {"tp", ONE, TYPE},
                    [15] = {"type_protos", MANY, TYPE},
                    [20] = {"type", INT, 0},
                    [21] = {"ref_attr_name", TEXT, 0},
                    [22] = {"sparse_tensor", ONE, SPARSE},
                    [23] = {"sparse_tensors", MANY, SPARSE}}},
    [TENSOR] = {"TensorProto",
                {[1] = {"dims", INTS, 0},
                 [2] = {"data_type", INT, 0},
                 [3] = {"segment", REFUSE, 0},
                 [4] = {"float_data", DATA_F32, 0},
                 [5] = {"int32_data", INTS, 0},
                 [6] = {"string_data", BYTES, 0},
                 [7] = {"int64_data", INTS, 0},
                 [8] = {"name", TEXT, 0},
                 [9] = {"raw_data", DATA, 0},
                 [10] = {"double_data", DATA_F64, 0},
                 [11] = {"uint64_data", INTS, 0},
                 [13] = {"external_data", MANY, ENTRY},
                 [14] = {"data_location", INT, 0}}},
    [SPARSE] = {"SparseTensorProto",
                {[1] = {"values", ONE, TENSOR}, [2] = {"indices", ONE, TENSOR}, [3] = {"dims", INTS, 0}}},
    [VALUE] = {"ValueInfoProto", {[1] = {"name", TEXT, 0}, [2] = {"type", ONE, TYPE}}},
    [TYPE] = {"TypeProto",
              {[1] = {"tensor_type", ONE, TYPE_TENSOR},
               [4] = {"sequence_type", ONE, TYPE_SEQUENCE},
               [5] = {"map_type", ONE, TYPE_MAP},
               [8] = {"sparse_tensor_type", ONE, TYPE_TENSOR},
               [9] = {"optional_type", ONE, TYPE_SEQUENCE}}},
    [TYPE_TENSOR] = {"TypeProto.Tensor", {[1] = {"elem_type", INT, 0}, [2] = {"shape", ONE, SHAPE}}},
    [TYPE_SEQUENCE] = {"TypeProto.Sequence", {[1] = {"elem_type", ONE, TYPE}}},
    [TYPE_MAP] = {"TypeProto.Map", {[1] = {"key_type", INT, 0}, [2] = {"value_type", ONE, TYPE}}},
    [SHAPE] = {"TensorShapeProto", {[1] = {"dim", MANY, DIMENSION}}},
    [DIMENSION] = {"TensorShapeProto.Dimension", {[1] = {"dim_value", INT, 0}, [2] = {"dim_param", TEXT, 0}}},
    [FUNCTION] = {"FunctionProto",
                  {[1] = {"name", TEXT, 0},
                   [4] = {"input", TEXT, 0},
                   [5] = {"output", TEXT, 0},
                   [6] = {"attribute", TEXT, 0},
                   [7] = {"node", MANY, NODE},
                   [9] = {"opset_import", MANY, OPSET},
                   [10] = {"domain", TEXT, 0},
                   [11] = {"attribute_proto", REFUSE, 0},
                   [13] = {"overload", REFUSE, 0}}},
};

typedef struct frame {
    message_id id;
    uint32_t seen;  /* fields of kind ONE, and fields with elements, seen so far */
    size_t end;     /* in the input */
    size_t out_len; /* position of the length in the copy */
} frame;

typedef struct checker {
    skive_context *ctx;
    const char *label;
    const unsigned char *in;
    size_t n, at;
    unsigned char *out;
    size_t out_n, capacity, limit;
} checker;

#define LENGTH_BYTES 5
#define MAX_COPY     ((size_t)INT32_MAX)

static skive_status put(checker *s, const void *bytes, size_t n) {
    if (n > s->capacity - s->out_n) {
        size_t wanted = s->capacity * 2;
        if (wanted < s->out_n || wanted - s->out_n < n) wanted = s->out_n + n;
        if (wanted > s->limit) wanted = s->limit;
        if (n > s->limit || s->out_n + n > wanted) {
            return skv_fail_at(s->ctx, SKIVE_ERR_LIMIT, s->label,
                               "byte %zu: the model without its weights is larger than %zu bytes (option max_memory)",
                               s->at, s->limit);
        }
        unsigned char *larger;
        SKV_TRY(skv_alloc(s->ctx, wanted, &larger));
        memcpy(larger, s->out, s->out_n);
        skv_free(s->ctx, s->out);
        s->out = larger;
        s->capacity = wanted;
    }
    if (n) memcpy(s->out + s->out_n, bytes, n);
    s->out_n += n;
    return SKIVE_OK;
}

static skive_status put_tag(checker *s, unsigned number, unsigned wire) {
    unsigned tag = number << 3 | wire;
    unsigned char bytes[2] = {(unsigned char)(tag & 0x7f), (unsigned char)(tag >> 7)};
    if (tag < 0x80) return put(s, bytes, 1);
    bytes[0] |= 0x80;
    return put(s, bytes, 2);
}

static void pad_length(unsigned char *at, size_t length) {
    for (int i = 0; i < LENGTH_BYTES - 1; i++, length >>= 7) at[i] = (unsigned char)(0x80u | (length & 0x7f));
    at[LENGTH_BYTES - 1] = (unsigned char)(length & 0x7f);
}

/* A varint that must end before `end`; false if it does not, or is longer than ten bytes. */
static bool varint(checker *s, size_t end, uint64_t *out) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && s->at < end; i++) {
        unsigned char byte = s->in[s->at++];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *out = value;
            return i < 9 || byte <= 1;
        }
    }
    return false;
}

static bool packed_varints_ok(const unsigned char *p, size_t n) {
    unsigned run = 0;
    for (size_t i = 0; i < n; i++) {
        run = p[i] & 0x80 ? run + 1 : 0;
        if (run >= 10) return false;
    }
    return run == 0;
}

static skive_status damaged(checker *s, size_t at, const frame *f, const char *what) {
    return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label, "byte %zu: not an ONNX file, or a damaged one: %s in %s", at,
                       what, schema[f->id].name);
}

/* A field that is not a message: copies its payload, replaces it by a reference, or drops it. */
static skive_status plain_field(checker *s, const frame *f, unsigned number, unsigned wire, size_t start,
                                size_t length) {
    const field *d = number < MAX_FIELD ? &schema[f->id].fields[number] : NULL;
    size_t tag_at = start;
    bool fits = true;
    if (!d || d->kind == DROP) return SKIVE_OK;
    const unsigned char *payload = s->in + s->at - length;
    switch (d->kind) {
    case INT: fits = wire == 0; break;
    case INTS: fits = wire == 0 || (wire == 2 && packed_varints_ok(payload, length)); break;
    case FLOAT: fits = wire == 5; break;
    case FLOATS: fits = wire == 5 || (wire == 2 && length % 4 == 0); break;
    case TEXT: fits = wire == 2 && !(length && memchr(payload, 0, length)); break;
    case BYTES: fits = wire == 2; break;
    case DATA: fits = wire == 2; break;
    case DATA_F32: fits = wire == 5 || (wire == 2 && length % 4 == 0); break;
    case DATA_F64: fits = wire == 1 || (wire == 2 && length % 8 == 0); break;
    case REFUSE:
        if (wire == 2 && length == 0) return SKIVE_OK;
        return skv_fail_at(s->ctx, SKIVE_ERR_UNSUPPORTED, s->label, "byte %zu: %s.%s is not supported", tag_at,
                           schema[f->id].name, d->name);
    case DROP:
    case MANY:
    case ONE: fits = false; break;
    }
    if (!fits) {
        return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label,
                           "byte %zu: not an ONNX file, or a damaged one: %s.%s has a wrong encoding", tag_at,
                           schema[f->id].name, d->name);
    }
    if (wire == 2 && (d->kind == DATA || d->kind == DATA_F32 || d->kind == DATA_F64)) {
        skv_onnx_ref ref = {(uint64_t)(s->at - length), length, number};
        unsigned char size = sizeof ref;
        SKV_TRY(put_tag(s, 9, 2));
        SKV_TRY(put(s, &size, 1));
        return put(s, &ref, sizeof ref);
    }
    SKV_TRY(put_tag(s, number, wire));
    if (wire == 2) {
        unsigned char padded[LENGTH_BYTES];
        pad_length(padded, length);
        SKV_TRY(put(s, padded, sizeof padded));
    }
    return put(s, payload, length);
}

/* The elements of a tensor must be in one field: with two, readers differ in which they use. */
static skive_status one_data_field(checker *s, frame *f, unsigned number, unsigned wire, size_t start, size_t length) {
    static const uint32_t data_fields = 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 11;
    if (f->id != TENSOR || number >= MAX_FIELD || !(data_fields >> number & 1u) || length == 0) return SKIVE_OK;
    const uint32_t others = f->seen & data_fields & ~(1u << number);
    const kind k = schema[TENSOR].fields[number].kind;
    const bool again = wire == 2 && (f->seen >> number & 1u) && (k == DATA || k == DATA_F32 || k == DATA_F64);
    f->seen |= 1u << number;
    if (!others && !again) return SKIVE_OK;
    unsigned other = number;
    for (unsigned i = 0; others && i < MAX_FIELD; i++) {
        if (others >> i & 1u) other = i;
    }
    const char *name = schema[TENSOR].fields[number].name;
    return again ? skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label, "byte %zu: a tensor has its %s in several pieces",
                               start, name)
                 : skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label,
                               "byte %zu: a tensor has both %s and %s, so its elements are ambiguous", start,
                               schema[TENSOR].fields[other].name, name);
}

/* Reads a tag and, unless it opens a message skive reads, the whole field. *child: the message to enter, else
 * MESSAGES. */
static skive_status next_field(checker *s, frame *f, message_id *child, size_t *child_end) {
    size_t start = s->at, length = 0;
    uint64_t tag, value;
    *child = MESSAGES;
    if (!varint(s, f->end, &tag) || tag >> 32 || tag >> 3 == 0) return damaged(s, start, f, "bad field tag");
    unsigned wire = (unsigned)(tag & 7), number = (unsigned)(tag >> 3);
    const field *d = number < MAX_FIELD ? &schema[f->id].fields[number] : NULL;
    size_t before = s->at;
    switch (wire) {
    case 0:
        if (!varint(s, f->end, &value)) return damaged(s, start, f, "bad or truncated number");
        length = s->at - before;
        break;
    case 1:
    case 5:
        length = wire == 1 ? 8 : 4;
        if (f->end - s->at < length) return damaged(s, start, f, "truncated number");
        s->at += length;
        break;
    case 2:
        if (!varint(s, f->end, &value)) return damaged(s, start, f, "bad or truncated length");
        if (value > f->end - s->at) {
            return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label,
                               "byte %zu: not an ONNX file, or truncated: %s%s%s of %llu bytes exceeds the message "
                               "that contains it by %llu",
                               start, schema[f->id].name, d && d->name ? "." : "", d && d->name ? d->name : " field",
                               (unsigned long long)value, (unsigned long long)(value - (f->end - s->at)));
        }
        length = (size_t)value;
        if (d && (d->kind == ONE || d->kind == MANY)) {
            if (d->kind == ONE) {
                if (f->seen & 1u << number) {
                    return skv_fail_at(s->ctx, SKIVE_ERR_FORMAT, s->label, "byte %zu: %s.%s occurs twice", start,
                                       schema[f->id].name, d->name);
                }
                f->seen |= 1u << number;
            }
            *child = d->child;
            *child_end = s->at + length;
            return put_tag(s, number, 2);
        }
        s->at += length;
        break;
    default: return damaged(s, start, f, "unknown wire type");
    }
    SKV_TRY(one_data_field(s, f, number, wire, start, length));
    return plain_field(s, f, number, wire, start, length);
}

static skive_status walk(checker *s, const skv_onnx_limits *limits, frame *stack, message_id root) {
    static const unsigned char no_length[LENGTH_BYTES] = {0};
    size_t nodes = 0;
    int depth = 0;
    stack[0] = (frame){.id = root, .end = s->n};
    for (;;) {
        frame *f = &stack[depth];
        if (s->at == f->end) {
            if (depth == 0) return SKIVE_OK;
            pad_length(s->out + f->out_len, s->out_n - f->out_len - LENGTH_BYTES);
            depth--;
            continue;
        }
        message_id child;
        size_t child_end = 0;
        SKV_TRY(next_field(s, f, &child, &child_end));
        if (child == MESSAGES) continue;
        if (child == NODE && ++nodes > limits->max_nodes) {
            return skv_fail_at(s->ctx, SKIVE_ERR_LIMIT, s->label, "byte %zu: more than %zu nodes (option max_nodes)",
                               s->at, limits->max_nodes);
        }
        if (++depth >= limits->max_depth) {
            return skv_fail_at(s->ctx, SKIVE_ERR_LIMIT, s->label,
                               "byte %zu: nested deeper than %d messages (option max_depth)", s->at, limits->max_depth);
        }
        stack[depth] = (frame){.id = child, .end = child_end, .out_len = s->out_n};
        SKV_TRY(put(s, no_length, sizeof no_length));
    }
}

skive_status skv_onnx_check_wire(skive_context *ctx, const char *label, skv_onnx_root root, const unsigned char *bytes,
                                 size_t n, const skv_onnx_limits *limits, unsigned char **out, size_t *out_n) {
    checker s = {.ctx = ctx, .label = label, .in = bytes, .n = n, .capacity = n < 65536 ? 4096 : 1u << 18};
    s.limit = limits->max_memory < MAX_COPY ? limits->max_memory : MAX_COPY;
    frame *stack = NULL;
    skive_status status;
    SKV_GO(status, done, skv_alloc_array(ctx, (size_t)limits->max_depth + 1, sizeof *stack, &stack));
    SKV_GO(status, done, skv_alloc(ctx, s.capacity, &s.out));
    SKV_GO(status, done, walk(&s, limits, stack, root == SKV_ONNX_MODEL ? MODEL : TENSOR));
    *out = s.out;
    *out_n = s.out_n;
    s.out = NULL;
done:
    skv_free(ctx, s.out);
    skv_free(ctx, stack);
    return status;
}
