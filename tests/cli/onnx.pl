# Writes small ONNX files, sound and unsound, into the current folder: the wire format by hand, so that what no library would
# write can be written.
use strict;
use warnings;

sub varint {
    my ($n) = @_;
    my $out = '';
    do {
        my $byte = $n & 127;
        $n >>= 7;
        $out .= chr($n ? $byte | 128 : $byte);
    } while ($n);
    return $out;
}
sub number { my ($field, $n) = @_; return varint($field << 3) . varint($n) }
sub bytes { my ($field, $s) = @_; return varint($field << 3 | 2) . varint(length $s) . $s }

sub tensor {
    my ($name, $dims, $data) = @_;
    return join('', map { number(1, $_) } @$dims) . number(2, 1) . bytes(8, $name) . bytes(9, $data);
}
sub info {
    my ($name, @dims) = @_;
    my $shape = join '', map { bytes(1, number(1, $_)) } @dims;
    return bytes(1, $name) . bytes(2, bytes(1, number(1, 1) . bytes(2, $shape)));
}
sub node {
    my ($op, $in, $out, $name, $domain, $more) = @_;
    return join('', map { bytes(1, $_) } @$in) . join('', map { bytes(2, $_) } @$out) . bytes(3, $name) . bytes(4, $op)
        . ($more // '') . ($domain ? bytes(7, $domain) : '');
}
sub model {
    my ($file, $nodes, $initializers) = @_;
    my $graph = join('', map { bytes(1, $_) } @$nodes) . bytes(2, 'g') . join('', map { bytes(5, $_) } @{$initializers // []})
        . bytes(11, info('x', 1, 4)) . bytes(12, info('y', 1, 4));
    open my $f, '>', $file or die "$file: $!";
    binmode $f;
    print $f number(1, 8), bytes(7, $graph), bytes(8, bytes(1, '') . number(2, 17)), bytes(8, bytes(1, 'com.example') . number(2, 1));
    close $f or die "$file: $!";
}

my $four = pack 'f<4', 1, 2, 3, 4;
model('good.onnx', [node('Add', ['x', 'w'], ['y'], 'sum')], [tensor('w', [4], $four)]);
model('overflow.onnx', [node('Add', ['x', 'w'], ['y'], 'sum')], [tensor('w', [1 << 40, 1 << 40], $four)]);
model('negative.onnx', [node('Add', ['x', 'w'], ['y'], 'sum')], [tensor('w', [~0, 2], $four)]);
model('short.onnx', [node('Add', ['x', 'w'], ['y'], 'sum')], [tensor('w', [4], substr $four, 0, 8)]);
model('cycle.onnx', [node('Add', ['x', 'b'], ['a'], 'first'), node('Add', ['a', 'x'], ['b'], 'second'), node('Relu', ['b'], ['y'], 'third')]);
model('undefined.onnx', [node('Add', ['x', 'ghost'], ['y'], 'sum')]);
model('twice.onnx', [node('Relu', ['x'], ['y'], 'one'), node('Relu', ['x'], ['y'], 'two')]);
model('shapes.onnx', [node('Conv', ['x', 'w'], ['y'], 'filter')], [tensor('w', [4], $four)]);
model('unknown.onnx', [node('Frob', ['x'], ['a'], 'first', 'com.example'), node('Relu', ['a'], ['b'], 'second'),
                       node('Blub', ['b'], ['c'], 'third'), node('Frob', ['c'], ['y'], 'fourth', 'com.example')]);
model('bytes.onnx', [node('Add', ['x', 'w'], ['y'], "s\xffm")], [tensor('w', [4], $four)]);
# One node that would compute for hours: each element of x with every triple of 3000.
my $many = pack('f<', 1) x 3000;
model('long.onnx', [node('Einsum', ['x', 'a', 'b', 'c'], ['y'], 'all', '', bytes(5, bytes(1, 'equation') . bytes(4, 'mn,i,j,k->mn') . number(20, 3)))],
      [map { tensor($_, [3000], $many) } qw(a b c)]);
my $inner = bytes(2, 'g');
for (1 .. 2000) {
    $inner = bytes(1, node('If', ['x'], ['y'], 'n', '', bytes(5, bytes(1, 'then_branch') . bytes(6, $inner) . number(20, 5))));
}
model('nested.onnx', [node('If', ['x'], ['y'], 'n', '', bytes(5, bytes(1, 'then_branch') . bytes(6, $inner) . number(20, 5)))]);

# An input for those that can be run.
my $header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }";
$header .= ' ' x (64 - (length($header) + 11) % 64) . "\n";
open my $f, '>', 'x.npy' or die;
binmode $f;
print $f "\x93NUMPY\x01\x00", pack('v', length $header), $header, $four;
close $f or die;
