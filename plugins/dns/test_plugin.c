#include "test_dns.h"
int test_plugin(void){return 0;}
