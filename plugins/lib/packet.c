/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names and defaults of packet.h.
 */
#include "packet.h"

const struct pkt_config pkt_defaults = { 4789, 6081, 51820 };

const char *pkt_error_name(enum pkt_error e)
{
	static const char *const names[PKT_ERRORS] = {
		"ok", "not_ip", "truncated", "malformed", "too_deep",
	};

	return (unsigned)e < PKT_ERRORS ? names[e] : "?";
}
