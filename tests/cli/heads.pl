# Writes models that end in different ways, and data sets, into the current folder. x: [N, 4], three classes.
use strict;
use warnings;
use FindBin;
require "$FindBin::Bin/wire.pl";

my $seed = 5;
sub uniform { $seed = ($seed * 1103515245 + 12345) % 2147483648; return $seed / 2147483648 * 2 - 1 }
sub floats { return pack 'f<*', map { uniform() * $_[1] } 1 .. $_[0] }

# y = x w + b, then what `tail` makes of it; outputs by name and shape
sub line {
    my ($file, $batch, $tail, $outputs, $more) = @_;
    my @initializers = (tensor('w', [4, 3], floats(12, 1)), tensor('b', [3], floats(3, 0.2)));
    graph_model($file, [node('Gemm', ['x', 'w', 'b'], ['z'], 'line'), @$tail], \@initializers, [info('x', $batch, 4)], $outputs, $more);
}
line('plain.onnx', 'N', [], [info('z', 'N', 3)]);
$seed = 5;
line('soft.onnx', 'N', [node('Softmax', ['z'], ['p'], 'soft')], [info('p', 'N', 3)]);
$seed = 5;
line('two.onnx', 'N', [node('Relu', ['x'], ['embedding'], 'cut')], [info('embedding', 'N', 4), info('z', 'N', 3)]);
$seed = 5;
line('rivals.onnx', 'N', [node('Neg', ['z'], ['other'], 'turn')], [info('z', 'N', 3), info('other', 'N', 3)]);
$seed = 5;
line('four.onnx', 4, [], [info('z', 4, 3)]);
line('four_else.onnx', 4, [], [info('z', 4, 3)]);
$seed = 5;
line('notes.onnx', 'N', [], [info('z', 'N', 3)], bytes(6, 'x' x 50000)); # doc_string of the model

# Two tasks, of three and of two classes.
my $kept = $seed;
graph_model('tasks.onnx', [node('Gemm', ['x', 'w', 'b'], ['classes'], 'first'), node('Gemm', ['x', 'v', 'c'], ['odd'], 'second')],
    [tensor('w', [4, 3], floats(12, 1)), tensor('b', [3], floats(3, 0.2)), tensor('v', [4, 2], floats(8, 1)), tensor('c', [2], floats(2, 0.2))],
    [info('x', 'N', 4)], [info('classes', 'N', 3), info('odd', 'N', 2)]);
$seed = $kept;

# An If whose condition depends on the data, behind it a product; a Loop of as many rounds as the data say.
$kept = $seed;
sub body { my ($attribute, $nodes, $inputs, $outputs) = @_;
    return bytes(5, bytes(1, $attribute) . bytes(6, join('', map { bytes(1, $_) } @$nodes) . bytes(2, $attribute)
        . join('', map { bytes(11, $_) } @$inputs) . join('', map { bytes(12, $_) } @$outputs)) . number(20, 5)) }
sub typed { my ($name, $type) = @_; return bytes(1, $name) . bytes(2, bytes(1, number(1, $type) . bytes(2, ''))) }
my @ends = (node('Gemm', ['h', 'w', 'b'], ['z'], 'product'));
my @weights = (tensor('w', [4, 3], floats(12, 1)), tensor('b', [3], floats(3, 0.2)), tensor('v', [4, 4], floats(16, 1)), tensor('zero', [], pack 'f<', 0));
graph_model('choice.onnx', [node('ReduceSum', ['x'], ['s'], 'sum', '', bytes(5, bytes(1, 'keepdims') . number(3, 0) . number(20, 2))),
                            node('Greater', ['s', 'zero'], ['c'], 'ask'),
                            node('If', ['c'], ['h'], 'choose', '',
                                 body('then_branch', [node('MatMul', ['x', 'v'], ['t'], 'inner')], [], [info('t', 'N', 4)])
                                 . body('else_branch', [node('Neg', ['x'], ['e'], 'turn')], [], [info('e', 'N', 4)])), @ends],
            \@weights, [info('x', 'N', 4)], [info('z', 'N', 3)]);
graph_model('rounds.onnx', [node('ReduceSum', ['x'], ['s'], 'sum', '', bytes(5, bytes(1, 'keepdims') . number(3, 0) . number(20, 2))),
                            node('Cast', ['s'], ['m'], 'whole', '', bytes(5, bytes(1, 'to') . number(3, 7) . number(20, 2))),
                            node('Loop', ['m', '', 'x'], ['h'], 'repeat', '',
                                 body('body', [node('Identity', ['on'], ['go'], 'keep'), node('Neg', ['a'], ['n'], 'turn')],
                                      [typed('i', 7), typed('on', 9), typed('a', 1)], [typed('go', 9), typed('n', 1)])), @ends],
            \@weights, [info('x', 'N', 4)], [info('z', 'N', 3)]);
$seed = $kept;

sub npy {
    my ($file, $type, $shape, $data) = @_;
    my $header = "{'descr': '$type', 'fortran_order': False, 'shape': ($shape), }";
    $header .= ' ' x (64 - (length($header) + 11) % 64) . "\n";
    open my $f, '>', $file or die "$file: $!";
    binmode $f;
    print $f "\x93NUMPY\x01\x00", pack('S<', length $header), $header, $data;
    close $f or die "$file: $!";
}
my $n = 200;
my (@x, @classes, @odd, @numbers, @labels);
for (1 .. $n) {
    my @row = map { uniform() } 1 .. 4;
    push @x, @row;
    push @classes, $row[0] > 0.3 ? 2 : $row[1] > 0 ? 1 : 0;
    push @odd, $row[2] > 0 ? 1 : 0;
    push @numbers, 1000 + 300 * ($row[0] - $row[2]);
    push @labels, $row[0] > 0 ? 1 : 0, $row[1] > 0.2 ? 1 : 0, $row[2] > $row[3] ? 1 : 0;
}
npy('x.npy', '<f4', "$n, 4", pack 'f<*', @x);
npy('classes.npy', '<i8', "$n,", pack 'q<*', @classes);
npy('odd.npy', '<i8', "$n,", pack 'q<*', @odd);
npy('numbers.npy', '<f4', "$n,", pack 'f<*', @numbers);
npy('labels.npy', '<i8', "$n, 3", pack 'q<*', @labels);
