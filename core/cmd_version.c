/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir version: what a bug report needs.
 */
#include "cli.h"

#include <bpf/libbpf.h>
#include <microhttpd.h>
#include <nng/nng.h>
#include <sys/utsname.h>
#include <uv.h>
#include <weir/event.h>
#include <weir/version.h>
#include <yaml.h>

int weir__cmd_version(int argc, char **argv)
{
	struct weir__cli cli;
	struct utsname u;
	json_t *j;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc)
		return weir__cmd_usage(cli.name, "takes no arguments");
	uname(&u);
	if (!cli.option[WEIR__CLI_JSON]) {
		printf("weir %s\nplugin ABI %d.%d, batch format %d\n", WEIR_VERSION, WEIR_ABI_MAJOR,
		       WEIR_ABI_MINOR, WEIR_BATCH_VERSION);
		printf("libbpf %s, libuv %s, nng %s, libmicrohttpd %s, libyaml %s, jansson %s\n",
		       libbpf_version_string(), uv_version_string(), nng_version(), MHD_get_version(),
		       yaml_get_version_string(), jansson_version_str());
		printf("%s %s %s\n", u.sysname, u.release, u.machine);
		return 0;
	}
	j = json_pack("{s:s, s:[i,i], s:i, s:s, s:s, s:s, s:s}", "version", WEIR_VERSION,
	              "abi", WEIR_ABI_MAJOR, WEIR_ABI_MINOR, "batch", WEIR_BATCH_VERSION,
	              "libbpf", libbpf_version_string(), "libuv", uv_version_string(),
	              "kernel", u.release, "machine", u.machine);
	if (!j)
		return weir__cli_error(cli.name, "out of memory");
	json_dumpf(j, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(j);
	return 0;
}
