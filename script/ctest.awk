# SPDX-License-Identifier: Apache-2.0
#
# Turns a run of ctest into lines of
#     pass<TAB>count    fail<TAB>test: case    skip<TAB>test: case<TAB>reason
# from two files: what ctest printed (each test's status), then its LastTest.log
# (each test's output). The cases of a cmocka program count one by one; any other
# program counts as one. A program that fails without a failed case fails itself.

# --- ctest's own output:  3/7 Test #3: a/partial ......***Failed  0.00 sec
FNR == NR && /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
	line = $0
	sub(/^.*Test +#[0-9]+: /, "", line)
	name = line
	sub(/ .*$/, "", name)
	sub(/^[^ ]* \.*/, "", line)
	sub(/ +[0-9.]+ sec.*$/, "", line)
	gsub(/^[ *]+|[ *]+$/, "", line)
	sub(/\*\*\*Exception:/, "", line)
	order[++tests] = name
	status[name] = line
	next
}
FNR == NR { next }

# --- LastTest.log
/^[0-9]+\/[0-9]+ Test: / {
	test = $0
	sub(/^[0-9]+\/[0-9]+ Test: /, "", test)
	running = ""
	next
}
/^\[ RUN      \] / { running = substr($0, 14); next }
running != "" && /^\[       OK \] / { passed[test]++; running = "" }
running != "" && /^\[  (FAILED |ERROR  ) \] / && $0 !~ /---/ {
	failed[test]++
	print "fail\t" test ": " running
	running = ""
}
running != "" && /^\[  SKIPPED \] / {
	skipped[test]++
	silent[test] = silent[test] " " running
	running = ""
}
/^<end of output>/ { unfinished[test] = running; running = "" }
/^SKIP: / {
	reasons[test]++
	reason[test, reasons[test]] = substr($0, 7)
}

END {
	for (i = 1; i <= tests; i++) {
		test = order[i]
		if (status[test] == "Skipped") {
			if (reasons[test] == 0)
				print "skip\t" test "\tno reason printed"
		} else if (status[test] != "Passed") {
			if (unfinished[test] != "")
				print "fail\t" test ": " unfinished[test] " did not end (" status[test] ")"
			else if (!failed[test])
				print "fail\t" test ": " status[test]
		} else if (passed[test] + skipped[test] == 0) {
			print "pass\t1"
		}
		if (passed[test])
			print "pass\t" passed[test]
		for (j = 1; j <= reasons[test]; j++)
			print "skip\t" test "\t" reason[test, j]
		if (skipped[test] > reasons[test])
			print "skip\t" test "\tonly " (0 + reasons[test]) " of " skipped[test] \
				" gave a reason:" silent[test]
	}
}
