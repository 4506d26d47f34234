#!/usr/bin/perl
# Do README.md and README.zh-CN.md say the same? Compared are the headings' levels, the lines of code and commands without their comments,
# the links' targets and every figure in the text. Prints the first difference of each kind and exits with 1 when there is one.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

sub parts {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    my (%p, $fenced);
    while (my $line = <$file>) {
        chomp $line;
        if ($line =~ /^```/) { $fenced = !$fenced; push @{$p{code}}, $line; next }
        if ($fenced) { push @{$p{code}}, $line; next }
        if ($line =~ /^ {4}(.*)/) {
            my $code = $1;
            $code =~ s/\s*#.*//;
            push @{$p{code}}, $code;
            next;
        }
        push @{$p{headings}}, length $1 if $line =~ /^(#+) /;
        push @{$p{links}}, $1 while $line =~ /\]\(([^)]+)\)/g;
        $line =~ s/\]\([^)]+\)//g;
        push @{$p{figures}}, $1 while $line =~ /(\d[\d,.]*\d|\d)/g;
    }
    return \%p;
}

my ($english, $chinese) = ('README.md', 'README.zh-CN.md');
my ($a, $b) = (parts($english), parts($chinese));
my $differ = 0;
for my $kind (qw(headings code links figures)) {
    my @x = @{$a->{$kind} // []};
    my @y = @{$b->{$kind} // []};
    if ($kind eq 'figures') { @x = sort @x; @y = sort @y } # their order follows the language's
    for my $i (0 .. ($#x > $#y ? $#x : $#y)) {
        my ($left, $right) = ($x[$i] // 'nothing', $y[$i] // 'nothing');
        next if $left eq $right;
        print STDERR "$kind: $english has '$left' where $chinese has '$right'\n";
        $differ = 1;
        last;
    }
}
exit $differ;
