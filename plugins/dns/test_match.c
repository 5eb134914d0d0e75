#include "test_dns.h"
int test_match(void){return 0;}
