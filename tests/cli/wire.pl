# The wire format of ONNX by hand, for the scripts that write test models.
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
    my $shape = join '', map { bytes(1, /^\d+$/ ? number(1, $_) : bytes(2, $_)) } @dims;
    return bytes(1, $name) . bytes(2, bytes(1, number(1, 1) . bytes(2, $shape)));
}
sub node {
    my ($op, $in, $out, $name, $domain, $more) = @_;
    return join('', map { bytes(1, $_) } @$in) . join('', map { bytes(2, $_) } @$out) . bytes(3, $name) . bytes(4, $op)
        . ($more // '') . ($domain ? bytes(7, $domain) : '');
}
# inputs, outputs: info(); more: further fields of the model
sub graph_model {
    my ($file, $nodes, $initializers, $inputs, $outputs, $more) = @_;
    my $graph = join('', map { bytes(1, $_) } @$nodes) . bytes(2, 'g') . join('', map { bytes(5, $_) } @{$initializers // []})
        . join('', map { bytes(11, $_) } @$inputs) . join('', map { bytes(12, $_) } @$outputs);
    open my $f, '>', $file or die "$file: $!";
    binmode $f;
    print $f number(1, 8), bytes(7, $graph), bytes(8, bytes(1, '') . number(2, 17)), bytes(8, bytes(1, 'com.example') . number(2, 1)),
        $more // '';
    close $f or die "$file: $!";
}
sub model {
    my ($file, $nodes, $initializers) = @_;
    graph_model($file, $nodes, $initializers, [info('x', 1, 4)], [info('y', 1, 4)]);
}
1;
