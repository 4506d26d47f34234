# Writes small ONNX files, sound and unsound, into the current folder: the wire format by hand, so that what no library would
# write can be written.
use strict;
use warnings;
use FindBin;
require "$FindBin::Bin/wire.pl";

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
