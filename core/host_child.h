/* SPDX-License-Identifier: Apache-2.0 */
/* `weir host`: the process of one plugin, started by the daemon only. */
#ifndef WEIR_CORE_HOST_CHILD_H
#define WEIR_CORE_HOST_CHILD_H

/* Never returns but for wrong use: 2; ends with its link. */
int weir__host_child(int argc, char **argv);

#endif
