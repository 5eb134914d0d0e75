#include "test_dns.h"
int test_stream(void){return 0;}
