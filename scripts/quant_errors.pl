#!/usr/bin/perl
# The report of `skive sensitivity --grids all --json` on standard input as tables: grids down, layers across.
# Usage: quant_errors.pl MODEL
use strict;
use warnings;
use JSON::PP;

local $/;
my $r = decode_json(<STDIN>);
my (@layers, @grids, %row);
for my $x (@{$r->{rows}}) {
    push @layers, $x->{parameter} unless exists $row{$x->{parameter}};
    push @grids, $x->{grid} unless grep { $_ eq $x->{grid} } @grids;
    $row{$x->{parameter}}{$x->{grid}} = $x;
}

sub table {
    my ($key, $format, $none) = @_;
    print '| grid | bits |', join('', map { " $_ |" } 1 .. @layers), "\n", '|---|---:|', '---:|' x @layers, "\n";
    for my $grid (@grids) {
        my $first = $row{$layers[0]}{$grid};
        print "| $grid | $first->{bits} |";
        for my $layer (@layers) {
            my $x = $row{$layer}{$grid}{$key};
            print ' ', defined $x ? sprintf($format, $x) : $none, ' |';
        }
        print "\n";
    }
    print "\n";
}

print <<"END";
# Error of every number grid on every layer

$ARGV[0], $r->{samples} test images of CIFAR-10 (JPEG), accuracy of the float model @{[sprintf '%.2f', $r->{original}]} %.
Written by `scripts/quant_errors.sh`, which runs

    skive sensitivity $ARGV[0] --data folder:cifar --scale none --mean none --split test --limit $r->{samples} \\
        --grids all --weights-only --by kl --json

The weights of one layer at a time are rounded to a grid with its default options (docs/tables.md), all others are float.
The codebook and piecewise levels are those of a whole tensor by default, while int8, int4 and the like have a scale for each
output channel. Grids that begin with u hold no negative numbers: they are for activations behind a Relu.
Layers, by their node, with the number of weights:

END
my $i = 0;
for my $layer (@layers) {
    my $x = $row{$layer}{$grids[0]};
    printf "%d. %s, %d weights\n", ++$i, $x->{op}, $x->{elements};
}
print "\n## Weights: signal to noise, dB\n\n";
table('weight_sqnr', '%.1f', 'exact');
print "## Output of the model: signal to noise, dB\n\n";
table('output_sqnr', '%.1f', 'exact');
print "## Output of the model: Kullback-Leibler divergence from the float model's answers, nats\n\n";
table('kl', '%.1e', '-');
