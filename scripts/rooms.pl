#!/usr/bin/perl
# Checks the rule of rooms: a folder of src/ includes only folders above it in the table of docs/architecture.md, and
# folders of one line do not include each other. The command and the examples include public headers only,
# except examples/extend, which is written as parts of src/ are.
# Usage: rooms.pl [folder with src/, cli/, examples/ and docs/architecture.md]; tells file:line of what breaks the rule.
use strict;
use warnings;

my $root = shift // '.';
my $page = "$root/docs/architecture.md";
my ($faults, %level, $lines) = (0);

sub fault { print "@_\n"; $faults++; }

# The table: the first column names one folder or more, and their order is the order of the lines.
open my $table, '<', $page or die "$page: $!\n";
while (<$table>) {
    next unless /^\|\s*(`src\/[^|]*)\|/;
    $lines++;
    for my $folder ($1 =~ m{`src/(\w+)/`}g) {
        fault("$page:$.: src/$folder/ is in the table twice") if $level{$folder};
        fault("$page:$.: src/$folder/ does not exist") unless -d "$root/src/$folder";
        $level{$folder} = $lines;
    }
}
close $table;
die "$page: no table of folders\n" unless $lines;

sub sources {
    my ($folder) = @_;
    return map { -d $_ ? sources($_) : /\.(?:c|h|inc)$/ ? $_ : () } sort glob "$folder/*";
}

sub includes {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my @found;
    while (<$in>) { push @found, [$., $1] if /^\s*#\s*include\s*"([^"]+)"/; }
    return @found;
}

for my $folder (map { s{.*/}{}r } grep { -d } sort glob "$root/src/*") {
    my $own = $level{$folder};
    fault("$root/src/$folder: is not in the table of $page") unless $own;
    next unless $own;
    for my $file (sources("$root/src/$folder")) {
        for (includes($file)) {
            my ($line, $path) = @$_;
            my ($to) = $path =~ m{^(\w+)/};
            if (!$to) {
                # Without a folder: what the build generates.
                fault("$file:$line: \"$path\" names no folder") unless $path =~ /\.pb-c\.h$/;
            } elsif ($to eq 'skive' || ($to eq 'extend' && $file =~ /\.inc$/)) {
                next; # the lists' extension by examples/extend
            } elsif (!$level{$to}) {
                fault("$file:$line: \"$path\": no folder src/$to/ in the table of $page");
            } elsif ($to ne $folder && $level{$to} >= $own) {
                fault("$file:$line: src/$folder/ may not include \"$path\": "
                        . ($level{$to} == $own ? "src/$to/ stands beside it" : "src/$to/ stands below it") . " in $page");
            }
        }
    }
}
for my $folder ('cli', 'examples') {
    for my $file (grep { !m{^\Q$root\E/examples/extend/} } sources("$root/$folder")) {
        my $near = $file =~ s{/[^/]*$}{}r;
        for (includes($file)) {
            my ($line, $path) = @$_;
            next if $path =~ m{^skive/} || ($path !~ m{/} && -e "$near/$path");
            fault("$file:$line: $folder/ may include public headers only, not \"$path\"");
        }
    }
}
exit($faults ? 1 : 0);
