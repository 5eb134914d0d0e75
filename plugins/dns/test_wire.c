#include "test_dns.h"
int test_wire(void){return 0;}
