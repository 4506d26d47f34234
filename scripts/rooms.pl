#!/usr/bin/perl
# Checks the rule of rooms: a folder of src/ includes only folders above it in the table of docs/architecture.md, and
# folders of one line do not include each other. The command and the examples include public headers only,
# except examples/extend, which is written as parts of src/ are. The diffs that the page shows are those of the tree.
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

# The diffs that the page shows: an added file has these lines, and a line of a list stands in it, or in the list of
# examples/extend of the same name where the line names a file there.
sub text { my ($file) = @_; open my $in, '<', $file or return; local $/; return <$in> }
my ($shown, $from, $new, $added, $begun) = ('', '', 0, '', 0);
sub compare {
    my $file = "$root/$shown";
    my $there = text($file);
    if (!defined $there) { fault("$page:$begun: $shown does not exist") }
    elsif ($new && $there ne $added) { fault("$page:$begun: $shown has other lines than the page shows") }
}
open my $pages, '<', $page or die "$page: $!\n";
my $inside = 0;
while (<$pages>) {
    if (/^```(\w*)/) {
        compare() if $inside && $shown;
        ($inside, $shown) = ($1 eq 'diff', '');
    } elsif (!$inside) {
        next;
    } elsif (/^--- (\S+)/) {
        compare() if $shown;
        ($new, $shown) = ($1 eq '/dev/null', '');
    } elsif (m{^\+\+\+ b/(\S+)}) {
        ($shown, $added, $begun) = ($1, '', $.);
    } elsif ($new) {
        $added .= $1 if /^\+(.*\n)/;
    } elsif (/^[ +](X\([^)]*\))\s*(examples\/extend\/[\w.]+)?/) {
        my ($item, $file) = ($1, $2);
        my $list = $file ? "$root/examples/extend/" . ($shown =~ s{.*/}{}r) : "$root/$shown";
        fault("$page:$.: $list does not have $item") if index(text($list) // '', $item) < 0;
        fault("$page:$.: $file does not exist") if $file && !-e "$root/$file";
    }
}
close $pages;
exit($faults ? 1 : 0);
