#!/usr/bin/env perl
# The models of the ONNX backend suite that are not expected to pass, by reason, as a Markdown table: writes it from
# tests/suite_expected.txt. A reason that is not explained here, or that no model has, is an error.
# Usage: suite_reasons.pl [FILE]
use strict;
use warnings;

my @reasons = (
    [sequence => 'sequences of tensors: a value of skive is one tensor'],
    [optional => 'optional values: a value of skive is one tensor'],
    [training => 'optimizers and Gradient of ai.onnx.preview.training: skive trains with its own (`skive train`)'],
    [random => 'random numbers: the expected ones come from NumPy\'s generator'],
    [decoder => 'ImageDecoder: images are read as data sets, not by operators'],
    [preview => 'ai.onnx.preview: no released operators'],
    [rounding => 'expected bfloat16 numbers were cut off instead of rounded, or steps in between were rounded to 16 bits, where skive rounds once'],
    [undefined => 'numbers beyond the range of the type that they are cast to, which ONNX leaves open'],
    [wrong => 'what is expected is not what the specification says; onnxruntime gives what skive does'],
);

my $file = $ARGV[0] // 'tests/suite_expected.txt';
my %of;
open my $in, '<', $file or die "suite_reasons.pl: cannot read $file\n";
while (<$in>) {
    next if /^#/;
    my ($name, $reason, $bounds) = split;
    $name =~ s{^node/}{};
    $name =~ s/test_//;
    push @{$of{$reason}}, $name . ($bounds ? " ($bounds)" : '');
}
close $in;

print "| reason | what it means | models |\n|---|---|---|\n";
for (@reasons) {
    my ($reason, $text) = @$_;
    my $models = delete $of{$reason} or die "suite_reasons.pl: no model has the reason $reason\n";
    print "| $reason | $text | ", join(', ', @$models), " |\n";
}
die "suite_reasons.pl: not explained: @{[sort keys %of]}\n" if %of;
