/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin SDK, whole. A plugin includes this, links against nothing, and
 * exports one descriptor (plugin.h); what it may call is in host.h.
 */
#ifndef WEIR_H
#define WEIR_H

#include "event.h"
#include "host.h"
#include "metric.h"
#include "option.h"
#include "plugin.h"
#include "query.h"
#include "source.h"
#include "version.h"

#endif
