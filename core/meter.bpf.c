/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the meter is calibrated with (meter.c): a metered program with an empty
 * body, the same without a meter, and one on a tracepoint that hardly anybody but
 * the calibration makes fire.
 */
#include "weir_bpf.h"

SEC("socket")
int WEIR_PROG(meter_empty)
{
	return 0;
}

SEC("socket")
int meter_none(void *ctx)
{
	return 0;
}

SEC("raw_tp/bpf_test_finish")
int meter_hook(void *ctx)
{
	return 0;
}
