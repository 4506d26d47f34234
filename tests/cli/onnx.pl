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

# Rows of 4 bits with a scale for each 16: Gather of ONNX has no elements that narrow.
sub whole { my ($name, $n) = @_; return bytes(5, bytes(1, $name) . number(3, $n) . number(20, 2)) }
my $codes = number(1, 5) . number(1, 8) . number(2, 2) . bytes(8, 'codes') . bytes(9, join '', map { chr(37 * $_ % 256) } 1 .. 40);
graph_model('rows.onnx', [node('GatherBlockQuantized', ['codes', 'i', 's'], ['y'], 'rows', 'com.microsoft',
                               whole('gather_axis', 0) . whole('quantize_axis', 1) . whole('block_size', 16) . whole('bits', 4))],
            [$codes, tensor('s', [5, 1], pack 'f<5', 1 .. 5)],
            [bytes(1, 'i') . bytes(2, bytes(1, number(1, 7) . bytes(2, bytes(1, number(1, 1)) . bytes(1, number(1, 4)))))], [info('y', 1, 4, 16)],
            bytes(8, bytes(1, 'com.microsoft') . number(2, 1)));

# An input for those that can be run.
my $header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }";
$header .= ' ' x (64 - (length($header) + 11) % 64) . "\n";
open my $f, '>', 'x.npy' or die;
binmode $f;
print $f "\x93NUMPY\x01\x00", pack('v', length $header), $header, $four;
close $f or die;
$header =~ s/<f4/<i8/;
open $f, '>', 'i.npy' or die;
binmode $f;
print $f "\x93NUMPY\x01\x00", pack('v', length $header), $header, pack 'q<4', 3, 0, 4, 3;
close $f or die;
