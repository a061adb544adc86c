#!/bin/bash
# rllc diagnose on files of chains: every form that is accepted, every one that is refused, the numbers of one case by hand.
source "$1/tests/cli/commands.bash"

# ten draws of two chains whose halves are 1 2 1 2 2 | 3 4 3 4 4 and twice that
awk 'BEGIN {
    print "chain,draw,value"
    for (c = 0; c < 2; c++) for (t = 0; t < 10; t++) print c "," t "," (c + 1) * ((t % 2 || t % 5 == 4 ? 2 : 1) + (t > 4 ? 2 : 0))
}' >chains.csv

# the keys, in full
expect 0 diagnose --trace chains.csv --json
for key in rhat_rank rhat_split ess_bulk ess_tail ess_mean ess_sd mcse_mean mcse_sd autocorrelation_time per_chain geweke_z \
    effective_size spectrum0 heidelberg_welch stationary start pvalue halfwidth mean halfwidth_passed exact raftery_lewis M N Nmin \
    I autocorrelation chain sd num_chains num_draws; do
    says out "\"$key\": "
done
[ "$(wc -l <out)" = 1 ] || complain "not one line of JSON"
same "$(field out schema)" rllc.diagnose/1 schema
same "$(field out num_draws)" 10 num_draws
same "$(field out Nmin)" 937 Nmin
says out '"M": null, "N": null, "Nmin": 937, "I": null, "reason": "fewer draws than Nmin"'
cp out plain.json
# 1 1 2 1 2 -> halves' means are all that counts; the program's own sums, by another way
awk -F, 'NR > 1 { h = 2 * $1 + ($2 > 4); s[h] += $3; q[h] += $3 * $3 } END {
    for (h = 0; h < 4; h++) { m[h] = s[h] / 5; w += (q[h] - 5 * m[h] ^ 2) / 4 / 4; g += m[h] / 4 }
    for (h = 0; h < 4; h++) b += (m[h] - g) ^ 2 / 3
    printf "%.15g\n", sqrt((w * 4 / 5 + b) / w) }' chains.csv >rhat
close_to "$(field out rhat_split)" "$(cat rhat)" 1e-12 "split R-hat"

# the same file in other clothes: columns and rows in another order, one more column, quotes, CRLF, byte order mark, blank line
{
    printf '\357\273\277"draw",note,"value","chain"\r\n'
    tail -n +2 chains.csv | sort -r | awk -F, '{ printf "%d,\"x, y\",%s,\"%s\"\r\n", $2, $3, $1 } NR == 4 { printf "\r\n" }'
} >dressed.csv
expect 0 diagnose --trace dressed.csv --json
cmp -s out plain.json || complain "columns, order, quotes or line ends change the result"
printf %s "$(cat chains.csv)" >unfinished.csv # no newline at the end
expect 0 diagnose --trace unfinished.csv --json
cmp -s out plain.json || complain "a missing last newline changes the result"

# what rllc sample --trace writes: one column, or the paired difference on the scale of the estimate
awk -F, 'NR == 1 { print "chain,draw,loss,baseline" } NR > 1 { print $1 "," 5 * $2 "," 3 + $3 / 4 "," 3 }' chains.csv >trace.csv
expect 0 diagnose --trace trace.csv --nbeta 4 --json
cmp -s out plain.json || complain "4 (loss - baseline) is not the value"
expect 0 diagnose --trace trace.csv --column loss --json
close_to "$(field out rhat_rank)" "$(field plain.json rhat_rank)" 1e-12 "R-hat of the loss"
expect 3 diagnose --trace trace.csv
says err "no column value in the header 'chain,draw,loss,baseline'.*--column.*--nbeta"
expect 3 diagnose --trace chains.csv --nbeta 4
says err 'no column loss'
expect 2 diagnose --trace trace.csv --column loss --nbeta 4

# the table; settings; lags; a choice of chains
expect 0 diagnose --trace chains.csv
says out '^value in chains.csv: 2 chains of 10 draws$'
says out '^rhat_rank +[0-9.]+ +rhat_split'
says out 'fewer draws than Nmin \(937\)'
expect 0 diagnose --trace chains.csv --raftery-q 0.5 --raftery-r 0.4 --json
same "$(field out Nmin)" 7 'Nmin of a coarser question'
expect 0 diagnose --trace chains.csv --max-lag 2 --chains 1 --json
says out '"num_chains": 1,.*"chain": 1,.*"autocorrelation": \[1.0, -?0[^,]*, -?0[^,]*\]\}\]\}$'
expect 3 diagnose --trace chains.csv --chains 0,7
says err 'no chain 7'
expect 2 diagnose --trace chains.csv --geweke-first 0.7
says err overlap
expect 2 diagnose --trace chains.csv --raftery-q 2
expect 2 diagnose
says err '--trace chains.csv'
expect 3 diagnose run # no such store

# numbers that are not finite give no numbers, and are no reason to stop
sed '5s/[^,]*$/NaN/; 7s/[^,]*$/-inf/' chains.csv >nan.csv
expect 0 diagnose --trace nan.csv --json
says out '"rhat_rank": null'
expect 0 diagnose --trace nan.csv
says out "^2 draws are not finite .the first in chain -?[0-9]+.: .*--chains"
says out '^rhat_rank +- '
printf 'chain,draw,value\n0,0,1\n' >one.csv
expect 0 diagnose --trace one.csv --json
says out '"rhat_rank": null'
awk 'BEGIN { print "chain,draw,value"; for (i = 0; i < 2000; i++) print "0," i ",0.1" }' >constant.csv
expect 0 diagnose --trace constant.csv --json
says out '"ess_mean": null.*"effective_size": 0.0.*too few changes'

# refused: LINES of a file after the header chain,draw,value, and what the message says
refuse() {
    printf "$1" >bad.csv
    expect 3 diagnose --trace bad.csv
    says err "$2"
}
head='chain,draw,value\n'
expect 3 diagnose --trace nowhere.csv
says err nowhere.csv
refuse '' 'bad.csv: the file is empty; expected a header'
refuse '\n\n\n' 'the file is empty'
refuse "$head" 'bad.csv: no draws after the header'
refuse 'chain,value\n0,1\n' "bad.csv:1: no column draw in the header 'chain,value'"
refuse 'chain,draw,value,draw\n0,1,2,3\n' 'bad.csv:1: two columns are called draw'
refuse "${head}0,0,1\n0,1\n" 'bad.csv:3: 2 fields, expected the 3 of the header'
refuse "${head}0,0,1\n0,1,2,3\n" 'bad.csv:3: 4 fields'
refuse "${head}0,0,abc\n" "bad.csv:2: column value holds 'abc', expected a number"
refuse "${head}0,0,\n" "bad.csv:2: column value holds ''"
refuse "${head}0,0, 1\n" "column value holds ' 1'"
refuse "${head}0,0,0x10\n" "column value holds '0x10'"
refuse "${head}0,0,1,5\n" '4 fields'
refuse "${head}0,0,1e999\n" 'within the range'
refuse "${head}0,0,1\\0002\n" "holds '1\\?2'"
refuse "${head}0,0,\033[31mred\n" "holds '\\?\\[31mred'"
refuse "${head}0,0,$(printf '1%.0s' $(seq 500))\n" "holds '1{40}\.\.\.'"
refuse "${head}0,0.5,1\n" "column draw holds '0.5', expected an integer"
refuse "${head}99999999999999999999,0,1\n" 'column chain.*within the range'
refuse "${head}0,0,1\n0,1,2\n0,0,3\n" 'bad.csv:4: chain 0 has draw 0 already in line 2'
refuse "${head}0,0,1\n0,1,2\n0,3,3\n" 'bad.csv:4: chain 0 goes from draw 1 to 3; expected evenly spaced'
refuse "${head}0,0,1\n0,1,2\n1,0,3\n" 'chain 0 has 2 draws, chain 1 has 1; .*--chains'
refuse "${head}0,0,1\n0,1,2\n1,1,3\n1,2,4\n" 'chain 0 has draws 0 to 1, chain 1 has 1 to 2'
refuse "${head}0,0,\"1\n" 'bad.csv:2: a quotation mark has no end'
refuse "${head}0,0,\"1\"2\n" 'bad.csv:2: expected a comma'
refuse "${head}0,-9223372036854775808,1\n0,9223372036854775807,2\n0,0,3\n" 'evenly spaced'
refuse "$(printf 'c%.0s,' $(seq 300))\n" 'more than 256 columns'
expect 3 diagnose --trace .

finish
